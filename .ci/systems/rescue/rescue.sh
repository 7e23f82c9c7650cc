# shellcheck shell=bash disable=SC2154
# A Debian 12 with gpg and zfs-fuse and nothing else: what a rescue system has. Sourced by `up`. Tests enter it by chroot, in a mount
# namespace of their own.

prepare_rescue() { make_debian "$cache/rescue" bookworm gpg,gpg-agent,zfs-fuse; }

export_rescue() { export_variable ZFERRY_TEST_RESCUE "$cache/rescue/root"; }
