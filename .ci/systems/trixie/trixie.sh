# shellcheck shell=bash disable=SC2154
# Debian 13 with its own Node in a folder, for what is installed there by its package manager. Sourced by `up`.

trixie_dir=$cache/trixie

prepare_trixie() {
  [ ! -e "$trixie_dir/complete" ] || return 0
  local archive
  archive=$(mirror_of bookworm)
  install_packages debootstrap
  rm -rf "$trixie_dir"
  mkdir -p "$trixie_dir"
  debootstrap --variant=minbase --include=ca-certificates,nodejs trixie "$trixie_dir/root" "$archive" >"$trixie_dir/log" 2>&1 || {
    tail -n 20 "$trixie_dir/log" >&2
    fail "debootstrap could not make a Debian 13"
  }
  rm -f "$trixie_dir"/root/var/cache/apt/archives/*.deb
  touch "$trixie_dir/complete"
  say "installed a Debian 13 with Node $(chroot "$trixie_dir/root" node --version)"
}

export_trixie() { export_variable ZFERRY_TEST_TRIXIE "$trixie_dir/root"; }
