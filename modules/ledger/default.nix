# The ledger of one host: who claims which port, folder, container name and range of ids, and
# which claims exclude each other. It knows no service; ./nixos.nix and ./home.nix add what their
# scope can see, and any module can add its own claims.
{ config, lib, ... }:
let
  inherit (lib) mkIf mkOption types;

  cfg = config.services.aiStack.ledger;
  addresses = import ../../lib/addresses.nix { inherit lib; };
  ledger = import ./conflicts.nix { inherit lib addresses; };
in
{
  options.services.aiStack.ledger = {
    active = mkOption {
      type = types.bool;
      internal = true;
      # The option is missing where the ledger is used without the stack.
      default = config.services.aiStack.enable or false;
      defaultText = lib.literalExpression "services.aiStack.enable";
      description = "Whether the claims of this host are compared. Modules that are not part of the stack can claim ports and directories too.";
    };
    user = mkOption {
      type = types.nullOr types.str;
      internal = true;
      default = null;
      description = "User whose containers the quadlets are; null: root.";
    };
    ours = mkOption {
      type = types.listOf types.str;
      internal = true;
      default = [ ];
      description = "Names of the quadlets whose module claims their ports and names itself.";
    };
    extra = mkOption {
      type = types.listOf (
        types.submodule {
          options = {
            port = mkOption {
              type = types.port;
              description = "Claimed port.";
            };
            protocol = mkOption {
              type = types.enum [
                "tcp"
                "udp"
              ];
              default = "tcp";
              description = "Protocol of the port.";
            };
            address = mkOption {
              type = types.str;
              default = "0.0.0.0";
              description = "Address of the port.";
            };
            owner = mkOption {
              type = types.str;
              description = "Owner of the port, for messages.";
            };
          };
        }
      );
      default = [ ];
      example = lib.literalExpression "[ { port = 8080; owner = \"the company's proxy\"; } ]";
      description = "Ports that a program outside of this configuration uses.";
    };
    claims = mkOption {
      type = types.listOf types.raw;
      internal = true;
      default = [ ];
      description = "All claims of this host: ports, data directories and names.";
    };
    conflicts = mkOption {
      type = types.listOf types.raw;
      internal = true;
      readOnly = true;
      default = ledger.conflicts cfg.claims;
      defaultText = lib.literalMD "computed";
      description = "Pairs of claims that conflict.";
    };
    report = mkOption {
      type = types.str;
      internal = true;
      readOnly = true;
      default = ledger.report cfg.conflicts;
      defaultText = lib.literalMD "computed";
      description = "Message that lists all conflicts.";
    };
    table = mkOption {
      type = types.str;
      readOnly = true;
      default = ledger.table cfg.claims;
      defaultText = lib.literalMD "computed";
      description = "The ledger as a table for reading: `nix eval --raw .#nixosConfigurations.HOST.config.services.aiStack.ledger.table`.";
    };
  };

  config = mkIf cfg.active {
    services.aiStack.ledger.claims =
      map (
        e:
        e
        // {
          kind = "port";
          option = "services.aiStack.ledger.extra";
        }
      ) cfg.extra
      ++ import ./quadlets.nix { inherit lib; } {
        inherit (cfg) ours user;
        quadlet = config.virtualisation.quadlet or { };
      };
    assertions = [
      {
        assertion = cfg.conflicts == [ ];
        message = cfg.report;
      }
    ];
  };
}
