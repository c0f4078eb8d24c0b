# SPDX-License-Identifier: MIT
"""Compares the kernel's own log of one guest under two machines."""
import os
import re

ALARM = re.compile(r"\b(warn\w*|fail\w*|error|unable|invalid|bug|unstable|spurious|bad|broken|corrupt\w*|"
                   r"call trace|oops|lost|stuck|hung|too (short|long|many)|not supported|unexpected|disabled due)\b", re.I)
LEVEL_WARNING = 4


def parse(text):
    """dmesg -r: '<priority>[time] message' -> [(level, message)]."""
    lines = []
    for line in text.splitlines():
        m = re.match(r"<(\d+)>\[ *\d+\.\d+\] (.*)", line)
        if m:
            lines.append((int(m[1]) & 7, m[2]))
    return lines


def normalise(message):
    """The message without what differs from machine to machine: addresses, sizes, times."""
    return re.sub(r"\b(0x)?[0-9a-f]*\d[0-9a-f]*\b", "N", message, flags=re.I)


def allowed():
    """log-differences.tsv: a regular expression and the reason, by a tab."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "log-differences.tsv")
    with open(path, encoding="utf-8") as f:
        rows = [line.rstrip("\n").split("\t") for line in f if line.strip() and not line.startswith("#")]
    return [re.compile(r[0]) for r in rows if len(r) >= 2]


def compare(ours, theirs):
    """The lines of ours that warn of something that theirs does not have, and the list does not excuse."""
    known = {normalise(message) for _, message in theirs}
    excuses = allowed()
    problems = []
    for level, message in ours:
        if level > LEVEL_WARNING and not ALARM.search(message):
            continue
        if normalise(message) in known or any(e.search(message) for e in excuses):
            continue
        problems.append(f"<{level}> {message}")
    if len(ours) < 100:
        problems.append(f"only {len(ours)} lines in the log")
    return problems
