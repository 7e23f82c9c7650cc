# shellcheck shell=bash disable=SC2154
# A Debian 12 as debootstrap's smallest variant makes it, with gpg and zfs-fuse and nothing else: what a rescue system has. Sourced
# by `up`. Tests enter it by chroot, in a mount namespace of their own.

rescue_dir=$cache/rescue
rescue_packages=gpg,gpg-agent,zfs-fuse

prepare_rescue() {
  [ "$rescue_packages" = "$(cat "$rescue_dir/stamp" 2>/dev/null)" ] && return
  rm -rf "$rescue_dir"
  mkdir -p "$rescue_dir"
  retry debootstrap --variant=minbase --include="$rescue_packages" bookworm "$rescue_dir/root" "$(mirror_of bookworm)" >"$rescue_dir/log" 2>&1 </dev/null || {
    tail -n 20 "$rescue_dir/log" >&2
    fail "debootstrap could not make the rescue system"
  }
  rm -f "$rescue_dir"/root/var/cache/apt/archives/*.deb
  echo "$rescue_packages" >"$rescue_dir/stamp"
  say "made a rescue system"
}

export_rescue() { export_variable ZFERRY_TEST_RESCUE "$rescue_dir/root"; }
