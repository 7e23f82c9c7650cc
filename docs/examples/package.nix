# zferry for Nix, from the Debian package, which holds all that it needs but Node: nothing is fetched while it is built.
#
#   package = pkgs.callPackage ./package.nix { src = ./zferry_0.1.0_all.deb; };      for the module beside this file
{ lib, stdenvNoCC, dpkg, makeWrapper, nodejs, src }:
stdenvNoCC.mkDerivation {
  name = "zferry";
  inherit src;
  nativeBuildInputs = [ dpkg makeWrapper ];
  unpackPhase = ''
    dpkg-deb -x "$src" .
  '';
  installPhase = ''
    mkdir -p "$out/lib" "$out/bin"
    cp -r usr/lib/zferry "$out/lib/"
    cp -r usr/share "$out/"
    makeWrapper "${lib.getExe nodejs}" "$out/bin/zferry" --add-flags "$out/lib/zferry/dist/main.js"
  '';
  meta = {
    description = "Ferries ZFS send streams to object storage and back";
    mainProgram = "zferry";
    license = lib.licenses.mit;
    platforms = lib.platforms.linux;
  };
}
