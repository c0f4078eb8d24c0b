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
refuse 'No such file' "$dir/disk.img"
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
refuse 'need -kernel' -nographic -append quiet
refuse 'no such file' -nographic -bios "$dir/missing"
refuse 'multiple of 64 KiB' -nographic -bios "$dir/zeros"
refuse 'no drive .x.' -boot x
refuse 'twice' -boot order=cdc
refuse 'at most three' -boot acdn
refuse 'expected a number' -boot menu=on,splash-time=soon
refuse "no property 'colour'" -boot order=c,colour=red
refuse 'no such file' -nographic -option-rom "$dir/missing"
refuse 'neither' -nographic -boot "splash=$dir/zeros"
refuse 'No such file' -kernel "$dir/missing"
refuse 'not a Linux kernel' -kernel "$dir/zeros"
refuse 'not a Linux kernel' -kernel "$dir/short"
refuse 'empty' -kernel "$dir/empty"
refuse 'not a regular file' -kernel "$dir"
refuse 'no device' -device e1000
refuse "no property 'colour'" -device virtio-rng-pci,colour=red
refuse 'if=scsi' -drive "file=$dir/zeros,if=scsi"
refuse 'index=2 already' -cdrom "$dir/zeros" -hdc "$dir/zeros"
refuse 'places for 4' -drive "file=$dir/zeros,index=4"
refuse 'cannot be used with' -drive "file=$dir/zeros,index=1,unit=0"
refuse 'expected disk or cdrom' -drive "file=$dir/zeros,media=tape"
refuse 'read-only' -drive "file=$dir/zeros,readonly=on"
refuse 'is empty' -hda "$dir/empty"
refuse 'no -drive' -device ide-hd,drive=none
refuse 'missing' -device ide-hd
refuse 'expected ide.0' -device ide-cd,bus=ide.2
refuse 'too long' -drive "file=$dir/zeros,if=none,id=d" -device ide-hd,drive=d,serial=123456789012345678901
printf 'QFI\373' | cat - "$dir/zeros" >"$dir/qcow2"
refuse 'qcow2' -hda "$dir/qcow2"
refuse 'format=qcow2' -drive "file=$dir/zeros,if=virtio,format=qcow2"
refuse "no property 'wibble'" -drive "file=$dir/zeros,if=virtio,wibble=1"
refuse 'No such file' -hda "$dir/missing"
refuse 'No such file' -cdrom "$dir/missing"
refuse 'not supported' -netdev tap,id=n
refuse 'model=e1000' -nic user,model=e1000
refuse 'no such adapter' -vga nosuch
refuse 'no display .gtk.' -display gtk
refuse 'expected tcp:HOST:PORT' -gdb tcp:nohost
refuse 'notaport' -gdb tcp::notaport
refuse 'no character device .bogus.' -gdb bogus
refuse 'No such file' -gdb "unix:$dir/missing/gdb,server=on,wait=off"
refuse 'no -chardev' -gdb chardev:nope
refuse 'no type' -object memory-backend-ram,id=m
[ $failed = 0 ] && echo "all as it should be"
exit $failed
