#!/bin/sh
# SPDX-License-Identifier: MIT
# What the ring3 program says and leaves behind when it is asked for what it cannot do.
ring3=$1
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
failed=0

# refuse TEXT ARGS...: status 1, nothing on stdout, one line "ring3: ..." holding TEXT, no pidfile.
refuse()
{
    text=$1
    shift
    "$ring3" -pidfile "$dir/pid" "$@" >"$dir/out" 2>"$dir/err" </dev/null
    status=$?
    if [ $status -ne 1 ] || [ -s "$dir/out" ] || [ "$(wc -l <"$dir/err")" -ne 1 ] || [ -e "$dir/pid" ] ||
       ! grep -q "^ring3: .*$text" "$dir/err"; then
        echo "FAILED: $* (status $status, wanted '$text')"
        cat "$dir/out" "$dir/err"
        failed=1
    fi
}

# accept TEXT ARGS...: status 0 and TEXT on stdout.
accept()
{
    text=$1
    shift
    if ! "$ring3" "$@" >"$dir/out" 2>"$dir/err" </dev/null || ! grep -q -e "$text" "$dir/out" || [ -s "$dir/err" ]; then
        echo "FAILED: $* (wanted '$text')"
        cat "$dir/out" "$dir/err"
        failed=1
    fi
}

head -c 4096 /dev/zero >"$dir/zeros"
printf 'MZ' >"$dir/short"
: >"$dir/empty"

accept 'usage: ring3' -help
accept 'usage: ring3' --help
accept 'version' --version
accept 'virtio-blk-pci' -device help
accept 'drive' -device virtio-blk-pci,help
accept 'max' -cpu help
accept 'interp' -accel help
accept 'pc ' -machine help
accept 'guest_errors' -d help
accept 'TH RING3 1' -man

refuse 'unknown option' -frobnicate
refuse 'not an option' disk.img
refuse 'needs an argument' -m
refuse 'not a size' -m lots
refuse 'at least' -m 1
refuse 'at most' -m 1T
refuse 'only 1 CPU' -smp 2
refuse 'only 1 CPU' -smp cpus=1,cores=4
refuse 'unsupported machine' -machine q35
refuse 'unknown accelerator' -accel kvm
refuse 'nosuchcpu' -cpu nosuchcpu -kernel "$dir/zeros"
refuse 'nosuchfeature' -cpu max,+nosuchfeature -kernel "$dir/zeros"
refuse 'there is no item' -d nothing
refuse 'nothing to boot' -nographic
refuse 'No such file' -kernel "$dir/missing"
refuse 'not a Linux kernel' -kernel "$dir/zeros"
refuse 'not a Linux kernel' -kernel "$dir/short"
refuse 'empty' -kernel "$dir/empty"
refuse 'not a regular file' -kernel "$dir"
refuse 'no device' -device e1000
refuse "no property 'colour'" -device virtio-rng-pci,colour=red
refuse 'if=ide' -drive "file=$dir/zeros"
refuse 'format=qcow2' -drive "file=$dir/zeros,if=virtio,format=qcow2"
refuse "no property 'wibble'" -drive "file=$dir/zeros,if=virtio,wibble=1"
refuse 'IDE' -hda "$dir/zeros"
refuse 'not supported' -netdev tap,id=n
refuse 'model=e1000' -nic user,model=e1000
refuse 'only .none.' -vga std
refuse 'only .none.' -display gtk
refuse 'not supported yet' -bios x
refuse 'not supported yet' -s
refuse 'no type' -object memory-backend-ram,id=m
[ $failed = 0 ] && echo "all as it should be"
exit $failed
