# shellcheck shell=bash disable=SC2034,SC2154
# OpenZFS's own send and receive code in user space: `uz`, and Debian's zdb and zstream. Sourced by `up`.
#
# They need no kernel module, no mount and no daemon, so they serve for large generated streams and for the proof that
# bytes which came back are a stream that a modern OpenZFS accepts. In the cache: tools/ (unpacked packages) and uz.

uz_dir=$cache/uz
uz_packages=(zfsutils-linux libzfs6linux libzpool6linux libnvpair3linux libuutil3linux libzfslinux-dev)
# What Debian's OpenZFS libraries are linked with; the guest's copies are taken from this machine too.
library_packages=(libtirpc-dev zlib1g-dev libssl-dev uuid-dev libblkid-dev libudev1)

prepare_uz() {
  local stamp version
  stamp=$(sha256sum <"$here/uz/uz.c")
  [ "$stamp" = "$(cat "$uz_dir/stamp" 2>/dev/null)" ] && return
  bookworm_lists
  version=$(apt_cache madison libzpool6linux | awk -F '|' '/bpo12/ { gsub(/ /, "", $2); print $2; exit }')
  [ -n "$version" ] || fail "the mirror has no libzpool6linux from bookworm-backports"
  rm -rf "$uz_dir"
  unpack_packages "$uz_dir/tools" "${uz_packages[@]/%/=$version}"
  unpack_packages "$uz_dir/source" "zfs-dkms=$version"
  compile_uz
  rm -rf "$uz_dir/source"
  echo "$stamp" >"$uz_dir/stamp"
  say "uz compiled against OpenZFS $version"
}

# Two headers that libzpool's own want under sys/ are elsewhere in the -dev package, or only in the source.
compile_uz() {
  local include=$uz_dir/tools/usr/include libraries=$uz_dir/tools/lib/x86_64-linux-gnu
  mkdir -p "$uz_dir/source/include/sys"
  cp "$include"/libzpool/*.h "$uz_dir"/source/usr/src/zfs-*/include/sys/zfs_ioctl.h "$uz_dir/source/include/sys/"
  gcc -O1 -D_GNU_SOURCE -D_LARGEFILE64_SOURCE -D_REENTRANT -DLIB_ZPOOL_BUILD \
    -I"$uz_dir/source/include" -I"$include/libzfs" -I"$include/libspl" -I/usr/include/tirpc "$here/uz/uz.c" -o "$uz_dir/uz" \
    "$libraries"/lib{zpool.so.6,zfs.so.6,nvpair.so.3,uutil.so.3,zfs_core.so.3} -Wl,-rpath-link,"$libraries" -lpthread
}

start_uz() {
  mkdir -p "$state/bin"
  library_wrapper uz "$uz_dir/uz"
  library_wrapper zdb "$uz_dir/tools/sbin/zdb"
  library_wrapper zstream "$uz_dir/tools/sbin/zstream"
}

library_wrapper() {
  printf '#!/bin/sh\nLD_LIBRARY_PATH=%q exec %q "$@"\n' "$uz_dir/tools/lib/x86_64-linux-gnu" "$2" >"$state/bin/$1"
  chmod +x "$state/bin/$1"
}

export_uz() {
  export_variable ZFERRY_TEST_UZ "$state/bin/uz"
  export_variable ZFERRY_TEST_ZDB "$state/bin/zdb"
  export_variable ZFERRY_TEST_ZSTREAM "$state/bin/zstream"
}
