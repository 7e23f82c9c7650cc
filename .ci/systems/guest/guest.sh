# shellcheck shell=bash disable=SC2034,SC2154
# The guest: a small QEMU machine (software emulation, no /dev/kvm) whose kernel has real OpenZFS. Sourced by `up`.
#
# It is Debian's cloud kernel, Debian's OpenZFS tools, the kernel module built from Debian's zfs-dkms, busybox and bash, as
# one initramfs. agent.c inside and shim.c outside make `zfs` in the guest look like a program here; they talk over a tap
# device in a network namespace that holds nothing else (many times faster than QEMU's own network, and no port is taken).
# In the cache: versions, tools/ and kernel/ (unpacked packages), module-*.tar, vmlinuz, initramfs.gz, shim, stamp.

guest_dir=$cache/guest
guest_host_packages=(qemu-system-x86 busybox-static cpio iproute2 gcc libc6-dev)
guest_tools=(zfsutils-linux libzfs6linux libzpool6linux libnvpair3linux libuutil3linux)
pool_bytes=4G
guest_memory_mib=${ZFERRY_TEST_GUEST_MIB:-2560}

# Decides the versions once; a cache with a built module keeps its own whatever the archive has by now.
guest_versions() {
  if [ ! -e "$guest_dir/versions" ]; then
    bookworm_lists
    zfs_version=$(apt_cache madison zfs-dkms | awk -F '|' '/bpo12/ { gsub(/ /, "", $2); print $2; exit }')
    kernel=$(apt_cache show linux-image-cloud-amd64 | sed -n 's/^Depends: linux-image-\(6\.1\.[^ ,]*\).*/\1/p' | sort -V | tail -n 1)
    if [ -z "$zfs_version" ] || [ -z "$kernel" ]; then fail "the mirror has no zfs-dkms from bookworm-backports or no cloud kernel 6.1"; fi
    echo "$zfs_version $kernel" >"$guest_dir/versions.new"
    mv "$guest_dir/versions.new" "$guest_dir/versions"
  fi
  read -r zfs_version kernel <"$guest_dir/versions"
  module=$guest_dir/module-$zfs_version-$kernel.tar
}

# Leaves the module's build running beside what follows: it is what takes longest.
prepare_module() {
  mkdir -p "$guest_dir"
  guest_versions
  [ ! -e "$module" ] || return 0
  install_packages gcc make libc6-dev libelf-dev "linux-headers-$kernel"
  rm -rf "$guest_dir/source"
  unpack_packages "$guest_dir/source" "zfs-dkms=$zfs_version"
  say "building the OpenZFS $zfs_version module for $kernel in the background, log $guest_dir/build.log"
  beside build_module
}
build_module() {
  "$here/guest/build-module" "$guest_dir/source" "$kernel" "$module" >"$guest_dir/build.log" 2>&1 || {
    tail -n 30 "$guest_dir/build.log" >&2
    fail "the OpenZFS module did not build, see $guest_dir/build.log"
  }
  say "module built"
}

# What runs in the guest.
prepare_guest() {
  [ ! -e "$guest_dir/unpacked" ] || return 0
  rm -rf "$guest_dir/tools" "$guest_dir/kernel"
  unpack_packages "$guest_dir/tools" "${guest_tools[@]/%/=$zfs_version}"
  unpack_packages "$guest_dir/kernel" "linux-image-$kernel"
  touch "$guest_dir/unpacked"
}

# Waits for the module and packs the initramfs, unless the one in the cache was made from the same things.
finish_guest() {
  local stamp
  finish build_module
  stamp=$(cat "$guest_dir/versions" "$here"/guest/* | sha256sum)
  [ "$stamp" = "$(cat "$guest_dir/stamp" 2>/dev/null)" ] && return
  "$here/guest/pack-initramfs" "$guest_dir" "$kernel" "$module"
  gcc -O2 -Wall -Werror -pthread "$here/guest/shim.c" -o "$guest_dir/shim.new"
  mv "$guest_dir/shim.new" "$guest_dir/shim"
  echo "$stamp" >"$guest_dir/stamp"
  say "initramfs packed"
}

# Boots it with two empty disks for the pools.
start_guest() {
  is_running guest && return
  [ -e /dev/net/tun ] || { mkdir -p /dev/net && mknod /dev/net/tun c 10 200; }
  rm -f "$state"/guest-*.raw
  truncate -s "$pool_bytes" "$state/guest-tsrc.raw" "$state/guest-tdst.raw"
  start_server guest unshare --net bash -c '
    ip tuntap add dev guest0 mode tap && ip address add 10.0.2.2/24 dev guest0 && ip link set guest0 up && exec "$@"' - \
    qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot -serial stdio \
    -machine q35 -accel tcg,thread=multi -cpu qemu64 -smp 2 -m "$guest_memory_mib" \
    -kernel "$guest_dir/vmlinuz" -initrd "$guest_dir/initramfs.gz" \
    -append "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable no_timer_check" \
    -drive "file=$state/guest-tsrc.raw,if=virtio,format=raw,cache=unsafe" \
    -drive "file=$state/guest-tdst.raw,if=virtio,format=raw,cache=unsafe" \
    -netdev tap,id=net,ifname=guest0,script=no,downscript=no -device virtio-net-pci,netdev=net,romfile= -device virtio-rng-pci
  guest_wrappers
}
await_guest() {
  await_server guest 120 grep -q "agent ready" "$state/guest.log"
  "$state/bin/zpool" list -H -o name >/dev/null
  say "guest is up: $(grep -o 'OpenZFS .*' "$state/guest.log" | tr -d '\r')"
}

# One file per command: callers may start them with any environment, so what they need stands in the file.
guest_wrappers() {
  local pid command
  read -r pid _ <"$state/guest.pid"
  mkdir -p "$state/bin"
  for command in zfs zpool bash; do
    printf '#!/bin/sh\nexec %q /proc/%s/ns/net %s "$@"\n' "$guest_dir/shim" "$pid" "$command" >"$state/bin/$command"
    chmod +x "$state/bin/$command"
  done
  mv "$state/bin/bash" "$state/bin/guest-sh"
}

export_guest() {
  export_variable ZFERRY_TEST_ZFS "$state/bin/zfs"
  export_variable ZFERRY_TEST_ZPOOL "$state/bin/zpool"
  export_variable ZFERRY_TEST_GUEST_SH "$state/bin/guest-sh"
}
