# shellcheck shell=bash disable=SC2154
# Whole Debian systems in a folder of the cache, for tests to enter by chroot. Sourced by `up`; wants debootstrap installed.

# make_debian FOLDER SUITE PACKAGES: debootstrap's smallest variant with these packages (with commas between) in FOLDER/root, unless it
# was made of the same before. FOLDER/stamp comes last: without it what is there was cut off, and is made anew.
make_debian() {
  [ "$3" = "$(cat "$1/stamp" 2>/dev/null)" ] && return
  retry bootstrap_debian "$@" || {
    tail -n 20 "$1/log" >&2
    fail "debootstrap could not make a Debian ($2)"
  }
  rm -f "$1"/root/var/cache/apt/archives/*.deb
  echo "$3" >"$1/stamp"
  say "made a Debian ($2) with $3"
}

# Every try begins with nothing. What debootstrap mounts goes with it, however it ends: nobody clears a folder that /proc is mounted in.
bootstrap_debian() {
  rm -rf "$1" || return
  mkdir -p "$1"
  unshare --mount debootstrap --variant=minbase --include="$3" "$2" "$1/root" "$(mirror_of bookworm)" >"$1/log" 2>&1 </dev/null
}
