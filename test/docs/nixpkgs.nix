# The little of nixpkgs that docs/examples/nixos-module.nix uses. Gives the systemd part of what it makes of one job.
{ module }:
let
  lib = rec {
    mkIf = condition: value: if condition then value else null;
    mkOption = option: option;
    mkEnableOption = description: { };
    types = { package = { }; attrs = { }; str = { }; listOf = _: { }; nullOr = _: { }; attrsOf = _: { }; submodule = _: { }; };
    getExe' = package: name: "${package}/bin/${name}";
    escapeShellArgs = builtins.concatStringsSep " ";
    nameValuePair = name: value: { inherit name value; };
    mapAttrsToList = make: set: builtins.attrValues (builtins.mapAttrs make set);
    mapAttrs' = make: set: builtins.listToAttrs (mapAttrsToList make set);
    optionalAttrs = condition: set: if condition then set else { };
  };
  made = import module {
    inherit lib;
    pkgs.writeText = name: _: "/nix/store/${name}";
    config.boot.zfs.package = "/zfs";
    config.services.zferry = {
      enable = true;
      package = "/zferry";
      settings = { stores.r2.url = "s3://backups"; jobs.home.dataset = "tank/home"; };
      jobs.home = { names = [ "home" ]; calendar = "*-*-* 02:00:00"; randomDelay = "1h"; stopTimeout = "5min"; };
      environmentFile = null;
      credentials.token = "/run/keys/token";
      path = [ ];
      verifyBudget = "50GiB";
      drills = [ "home" ];
    };
  };
in
made.config.systemd
