# zferry on NixOS: a service and a timer for each job, and what runs around them; docs/timers.md explains the choices.
#
#   imports = [ ./nixos-module.nix ];
#   services.zferry = {
#     enable = true;
#     package = …;                            # whatever has bin/zferry
#     settings.stores.r2.url = "s3://backups/nas?endpoint=https://ID.r2.cloudflarestorage.com";
#     settings.encryption.passphrase_file = "/etc/zferry/passphrase";
#     settings.jobs.home = { dataset = "tank/home"; };
#     jobs.home.calendar = "*-*-* 04:00:00";
#     environmentFile = "/etc/zferry/environment";  # AWS_ACCESS_KEY_ID=… and AWS_SECRET_ACCESS_KEY=…, mode 0600
#   };
{ config, lib, pkgs, ... }:
let
  cfg = config.services.zferry;
  # YAML reads JSON.
  configFile = pkgs.writeText "zferry.yaml" (builtins.toJSON cfg.settings);
  zferry = words: "${lib.getExe' cfg.package "zferry"} --config ${configFile} ${lib.escapeShellArgs words}";

  confinement = {
    NoNewPrivileges = true;
    ProtectClock = true;
    ProtectHostname = true;
    ProtectKernelLogs = true;
    ProtectKernelModules = true;
    ProtectKernelTunables = true;
    LockPersonality = true;
    RestrictRealtime = true;
    RestrictSUIDSGID = true;
    SystemCallArchitectures = "native";
    # Hooks and notifiers are other people's programs: only /usr, /boot and /etc are closed to them.
    ProtectSystem = "full";
  };

  service = description: words: own: {
    inherit description;
    path = [ config.boot.zfs.package ] ++ cfg.path;
    wants = [ "network-online.target" ];
    after = [ "network-online.target" "zfs.target" "zferry-recover.service" ];
    onFailure = [ "zferry-failed@%n.service" ];
    serviceConfig = confinement // {
      Type = "oneshot";
      ExecStart = zferry words;
      KillMode = "mixed";
      StateDirectory = "zferry";
      StateDirectoryMode = "0700";
      LoadCredential = lib.mapAttrsToList (name: path: "${name}:${path}") cfg.credentials;
    } // lib.optionalAttrs (cfg.environmentFile != null) { EnvironmentFile = "-${cfg.environmentFile}"; } // own;
  };

  timer = calendar: delay: {
    wantedBy = [ "timers.target" ];
    timerConfig = {
      OnCalendar = calendar;
      Persistent = true;
      RandomizedDelaySec = delay;
      FixedRandomDelay = true;
    };
  };

  # Named, so that a mistake in the settings keeps nothing stopped.
  recover = [ "recover" "--state-dir" (cfg.settings.state_dir or "/var/lib/zferry") ];

  backup = name: job: lib.nameValuePair "zferry-backup-${name}" (service "zferry backup of ${name}" ([ "backup" ] ++ job.names) {
    # What hooks stopped is started again by a process beside zferry, which must outlive it.
    KillMode = "process";
    OOMPolicy = "continue";
    ExecStopPost = "-${zferry recover}";
    TimeoutStopSec = job.stopTimeout;
  });
in
{
  options.services.zferry = {
    enable = lib.mkEnableOption "backups of ZFS datasets to object storage";
    package = lib.mkOption { type = lib.types.package; description = "What has bin/zferry."; };
    settings = lib.mkOption {
      type = lib.types.attrs;
      description = "The configuration (docs/configuration.md). It is readable by everybody: secrets go into files.";
    };
    jobs = lib.mkOption {
      default = { };
      description = "When the jobs of the settings are run, one timer each; the jobs of a group by one timer.";
      type = lib.types.attrsOf (lib.types.submodule ({ name, ... }: {
        options = {
          names = lib.mkOption { type = lib.types.listOf lib.types.str; default = [ name ]; description = "Jobs run in one go."; };
          calendar = lib.mkOption { type = lib.types.str; default = "*-*-* 04:00:00"; description = "systemd.time(7)."; };
          randomDelay = lib.mkOption { type = lib.types.str; default = "1h"; description = "How much later it may begin."; };
          stopTimeout = lib.mkOption { type = lib.types.str; default = "5min"; description = "Longer than all hooks of the jobs."; };
        };
      }));
    };
    environmentFile = lib.mkOption { type = lib.types.nullOr lib.types.str; default = null; description = "S3 keys and the like."; };
    credentials = lib.mkOption { type = lib.types.attrsOf lib.types.str; default = { }; description = "Name to file, for { credential = NAME; } of the settings."; };
    path = lib.mkOption { type = lib.types.listOf lib.types.package; default = [ ]; description = "Programs that hooks run."; };
    drills = lib.mkOption { type = lib.types.listOf lib.types.str; default = [ ]; description = "Jobs one of whose backups is restored on trial each month."; };
    verifyBudget = lib.mkOption { type = lib.types.str; default = "50GiB"; description = "What the weekly verify reads of each store."; };
  };

  config = lib.mkIf cfg.enable {
    systemd.services = lib.mapAttrs' backup cfg.jobs // lib.mapAttrs' (store: _: lib.nameValuePair "zferry-verify-${store}"
      (service "zferry verify of ${store}" [ "verify" "--store" store "--budget" cfg.verifyBudget ] { })) cfg.settings.stores
    // lib.mapAttrs' (store: _: lib.nameValuePair "zferry-strays-${store}"
      (service "zferry removal of strays in ${store}" [ "prune" "--strays" "--store" store "--yes" ] { })) cfg.settings.stores
    // lib.optionalAttrs (cfg.drills != [ ]) { zferry-drill = service "zferry trial restores" ([ "drill" ] ++ cfg.drills) { }; }
    // {
      zferry-status = service "zferry look at what is overdue" [ "status" "--notify" ] { SuccessExitStatus = 3; };
      zferry-recover = service "zferry start of what a killed run left stopped" recover { RemainAfterExit = true; KillMode = "process"; LoadCredential = [ ]; } // {
        wantedBy = [ "multi-user.target" ];
        after = [ "local-fs.target" "zfs.target" "network-online.target" "docker.service" "podman.service" ];
      };
      "zferry-failed@" = (service "zferry word of a failed unit" [ "notify" "--unit" ] {
        ExecStart = "${zferry [ "notify" "--unit" ]} %i";
      }) // { onFailure = [ ]; };
    };
    systemd.timers = lib.mapAttrs' (name: job: lib.nameValuePair "zferry-backup-${name}" (timer job.calendar job.randomDelay)) cfg.jobs
    // lib.mapAttrs' (store: _: lib.nameValuePair "zferry-verify-${store}" (timer "Sat *-*-* 10:00:00" "6h")) cfg.settings.stores
    // lib.mapAttrs' (store: _: lib.nameValuePair "zferry-strays-${store}" (timer "Sat *-*-* 06:00:00" "1h")) cfg.settings.stores
    // lib.optionalAttrs (cfg.drills != [ ]) { zferry-drill = timer "*-*-01 12:00:00" "6h"; }
    // { zferry-status = timer "hourly" "5min"; };
  };
}
