#!/bin/sh
# Installs or removes Latchkey's host on Linux: for the person who runs this, or with --system for everybody.
# Nothing is installed unless the archive has the checksum that SHA256SUMS gives.
set -eu

usage() {
    cat <<'END'
Usage: sh install.sh [--from PLACE] [--system] [--prefix FOLDER] [--no-browsers] [--uninstall]

  --from PLACE      where the archive and SHA256SUMS are: a folder or an https:// address
                    [default: the folder of this script]
  --system          for everybody on this machine, in /usr/local; as root
  --prefix FOLDER   somewhere else than ~/.local or /usr/local
  --no-browsers     only the program: neither browsers nor the schedule are told of it
  --uninstall       take everything back; tenants, leases and settings stay
END
}

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

from=
prefix=
system=
browsers=yes
task=install
while [ $# -gt 0 ]; do
    case $1 in
        --from | --prefix)
            [ $# -ge 2 ] || fail "$1 needs a value"
            if [ "$1" = --from ]; then from=$2; else prefix=$2; fi
            shift
            ;;
        --system) system=--system ;;
        --no-browsers) browsers= ;;
        --uninstall) task=uninstall ;;
        -h | --help)
            usage
            exit 0
            ;;
        *)
            usage >&2
            exit 2
            ;;
    esac
    shift
done

if [ -n "$system" ]; then
    [ "$(id -u)" = 0 ] || fail "--system needs root: run it with sudo"
    prefix=${prefix:-/usr/local}
else
    [ -n "${HOME:-}" ] || [ -n "$prefix" ] || fail "HOME is not set: say --prefix FOLDER"
    prefix=${prefix:-$HOME/.local}
fi
case $prefix in
    /*) ;;
    *) fail "the prefix must begin with /: $prefix" ;;
esac
program=$prefix/bin/latchkey
# What was installed, one path in each line, below the prefix.
list=$prefix/share/latchkey/installed-files

remove_listed() {
    while IFS= read -r file; do
        rm -f "$prefix/$file"
        # Only folders that are empty now.
        (cd "$prefix" && rmdir -p "$(dirname "$file")" 2>/dev/null) || :
    done <"$list"
    rm -f "$list"
    rmdir "$prefix/share/latchkey" 2>/dev/null || :
}

if [ "$task" = uninstall ]; then
    [ -f "$list" ] || fail "nothing was installed in $prefix"
    # shellcheck disable=SC2086 # nothing or one word
    [ ! -x "$program" ] || "$program" uninstall $system
    remove_listed
    echo "Latchkey is removed from $prefix"
    exit 0
fi

[ "$(uname -s)" = Linux ] || fail "this installs on Linux; for other systems see docs/packages.md"
machine=$(uname -m)
umask 022
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

if [ -z "$from" ]; then
    from=$(dirname "$0")
fi
fetch() {
    case $from in
        https://*) curl --fail --silent --show-error --location --proto '=https' -o "$work/$1" "${from%/}/$1" ;;
        *://*) fail "only https:// addresses and folders: $from" ;;
        *) cp "$from/$1" "$work/$1" ;;
    esac || fail "$1 cannot be had from $from"
}

fetch SHA256SUMS
line=$(grep -E "^[0-9a-f]{64}  latchkey-[0-9A-Za-z.+~-]+-$machine-linux\.tar\.gz\$" "$work/SHA256SUMS" || :)
[ -n "$line" ] || fail "there is no archive for $machine in SHA256SUMS"
[ "$(printf '%s\n' "$line" | wc -l)" -eq 1 ] || fail "SHA256SUMS names more than one archive for $machine"
archive=${line##* }
fetch "$archive"
(cd "$work" && printf '%s\n' "$line" | sha256sum -c --quiet - >/dev/null 2>&1) ||
    fail "$archive is not what SHA256SUMS says: damaged or exchanged. Nothing was installed."

mkdir "$work/archive"
tar -xzf "$work/$archive" -C "$work/archive" --strip-components=1 --no-same-owner
"$work/archive/bin/latchkey" version >/dev/null || fail "the program does not run on this machine. Nothing was installed."

if [ -f "$list" ]; then cp "$list" "$work/before"; else : >"$work/before"; fi
(cd "$work/archive" && find . -type f | sed 's|^\./||' | LC_ALL=C sort) >"$work/now"
mkdir -p "$prefix/share/latchkey"
sort -u "$work/before" "$work/now" >"$list"
while IFS= read -r file; do
    mkdir -p "$(dirname "$prefix/$file")"
    # Beside it first: a browser must never start half a program.
    cp "$work/archive/$file" "$prefix/$file.new"
    mv -f "$prefix/$file.new" "$prefix/$file"
done <"$work/now"
# What an older version had and this one has not.
while IFS= read -r file; do
    grep -Fxq "$file" "$work/now" || rm -f "$prefix/$file"
done <"$work/before"
cp "$work/now" "$list"
echo "Latchkey is in $program"

if [ -n "$browsers" ]; then
    # shellcheck disable=SC2086 # nothing or one word
    "$program" install $system
fi
case :${PATH:-}: in
    *:"$prefix/bin":*) ;;
    *) echo "Add $prefix/bin to your PATH to run it as 'latchkey'." ;;
esac
