# Evaluation tests of the facts' types, against the facts of every machine that the crate
# aistack-facts has captured and of every example host.
{
  lib,
  on,
  nixos,
  refuses,
  accepts,
  equal,
  throws,
}:
let
  fixtures = ../../crates/aistack-facts/tests/snapshots;
  # Below the header that insta writes.
  ofSnapshot =
    file:
    builtins.fromJSON (
      lib.concatStringsSep "---\n" (
        lib.drop 2 (lib.splitString "---\n" (builtins.readFile (fixtures + "/${file}")))
      )
    );
  machines =
    lib.mapAttrs' (file: _: lib.nameValuePair file (ofSnapshot file)) (
      lib.filterAttrs (file: _: lib.hasPrefix "fixtures__" file) (builtins.readDir fixtures)
    )
    // lib.mapAttrs (name: _: lib.importJSON (../../hosts + "/${name}/facts.json")) (
      lib.filterAttrs (name: _: builtins.pathExists (../../hosts + "/${name}/facts.json")) (
        builtins.readDir ../../hosts
      )
    );

  read =
    facts:
    (lib.evalModules {
      modules = [
        ../../modules/facts
        {
          options.services.aiStack.enable = lib.mkEnableOption "it";
          options.assertions = lib.mkOption { type = lib.types.listOf lib.types.raw; };
        }
        { services.aiStack.facts = facts; }
      ];
    }).config.services.aiStack.facts;
  workstation = lib.importJSON ../../hosts/workstation/facts.json;

  # The paths of a nested value that are not empty; for cards without the index.
  places =
    value:
    lib.unique (
      if builtins.isAttrs value then
        lib.concatLists (lib.mapAttrsToList (k: v: map (p: ".${k}${p}") (places v)) value)
      else if builtins.isList value && lib.any builtins.isAttrs value then
        map (p: ".*${p}") (lib.concatMap places value)
      else
        [ "" ]
    );
  below = prefix: lib.filter (p: !(lib.hasPrefix prefix p));
in
{
  "facts: the file of every captured machine is read unchanged" =
    let
      differs = lib.filterAttrs (
        _: facts:
        let
          seen = read facts;
          # Fields of other vendors' cards are null.
          own = lib.zipListsWith (a: b: lib.intersectAttrs a b) facts.gpus seen.gpus;
          others = lib.concatLists (
            lib.zipListsWith (a: b: lib.attrValues (removeAttrs b (lib.attrNames a))) facts.gpus seen.gpus
          );
        in
        seen // { gpus = own; } != facts || lib.any (v: v != null) others
      ) machines;
    in
    equal (lib.attrNames differs) [ ];
  "facts: each option is a field of at least one machine" =
    let
      fields = lib.concatMap places (lib.attrValues machines);
      options = lib.concatMap (facts: places (read facts)) (lib.attrValues machines);
    in
    equal (below ".cdi.kinds" (lib.subtractLists fields (lib.unique options))) [ ];
  "facts: accept the path of a file, as a path or as text" =
    equal
      (map (facts: (read facts).memory.totalMiB) [
        ../../hosts/workstation/facts.json
        (toString ../../hosts/workstation/facts.json)
        workstation
      ])
      [
        24064
        24064
        24064
      ];
  "facts: a missing field is null or empty" =
    let
      seen = read { schema = 1; };
    in
    equal
      [
        seen.memory.totalMiB
        seen.cpu.features
        seen.gpus
        seen.backend
        seen.primary
        (read null)
      ]
      [
        null
        [ ]
        [ ]
        "cpu"
        null
        null
      ];
  # The messages are in tests/eval/messages.
  "facts: a misspelt field is an error" = throws (read (workstation // { memroy = { }; }));
  "facts: a misspelt field of a card is an error" =
    throws
      (read (
        workstation
        // {
          gpus = [
            {
              slot = "0000:01:00.0";
              vendor = "nvidia";
              backend = "cuda";
              vramMib = 8192;
            }
          ];
        }
      )).gpus;
  "facts: a wrong type is an error" =
    throws
      (read (workstation // { memory.totalMiB = "24064"; })).memory;
  "facts: a card without a backend is an error when an engine reads it" =
    throws
      (read {
        schema = 1;
        gpus = [
          {
            slot = "0000:01:00.0";
            vendor = "nvidia";
          }
        ];
      }).gpus;
  "facts: a user can override one value of a file" =
    let
      seen = read (
        lib.mkMerge [
          ../../hosts/workstation/facts.json
          { memory.totalMiB = lib.mkForce 4096; }
        ]
      );
    in
    equal
      [
        seen.memory.totalMiB
        seen.cpu.cores
      ]
      [
        4096
        workstation.cpu.cores
      ];
  "facts: refuse another schema, also with unknown fields" =
    refuses
      (on {
        facts = {
          schema = 2;
          memory.kinds = [ "ddr5" ];
        };
        redis.enable = true;
      })
      [
        "services.aiStack.facts has schema 2, this version reads schema 1"
        "aistack facts"
      ];
  "facts: refuse a file without a schema" = refuses (on {
    facts.backend = "cpu";
    redis.enable = true;
  }) [ "services.aiStack.facts has schema none" ];
  "facts: a host needs none, enabled or not" = accepts (nixos [
    { services.aiStack.enable = true; }
  ]);
}
