# Evaluation tests of the GPU modules: facts of machines -> configuration of NixOS and the
# containers.
{
  lib,
  core,
  nixos,
  refuses,
  accepts,
  equal,
}:
let
  inherit (lib) hasInfix;

  card =
    vendor: backend: extra:
    {
      inherit vendor backend;
      slot = "0000:01:00.0";
      pciId = "ffff:ffff";
    }
    // extra;
  ada = card "nvidia" "cuda" {
    name = "RTX 4090";
    openKernelModule = true;
    driverBranch = null;
    vramMiB = 24564;
  };
  pascal = card "nvidia" "cuda" {
    name = "GTX 1080";
    openKernelModule = false;
    driverBranch = "legacy_580";
    vramMiB = 8192;
  };
  rdna3 = card "amd" "rocm" { slot = "0000:03:00.0"; };
  apu = card "amd" "vulkan" { slot = "0000:0a:00.0"; };
  arc = card "intel" "sycl" { slot = "0000:04:00.0"; };
  bmc = card "bmc" "cpu" { slot = "0000:05:00.0"; };

  facts = cards: {
    schema = 1;
    backend = if cards == [ ] then "cpu" else (lib.head cards).backend;
    gpus = cards;
  };
  host =
    cards: stack:
    nixos [
      {
        nixpkgs.config.allowUnfree = true;
        services.aiStack = {
          enable = true;
          facts = facts cards;
          ollama.enable = true;
        }
        // stack;
      }
    ];
  stack =
    cards: ollama:
    core {
      enable = true;
      facts = facts cards;
      ollama = {
        enable = true;
      }
      // ollama;
    };
  container = config: config.virtualisation.quadlet.containers.local-ai-ollama.containerConfig;
  # Output of `aistack fit --json` for generated models, with its settings.
  fit = import ../../modules/stack/fit.nix { inherit lib; };
  fitCases = lib.mapAttrs' (
    file: _:
    let
      said = lib.importJSON (./fit + "/${file}");
      inherit (said.fit) settings;
    in
    lib.nameValuePair "fit: the estimate for ${file} is that of the tool" (
      equal (fit {
        shape = said;
        contextSize = settings.context;
        inherit (settings) parallel cacheTypeK cacheTypeV;
        ubatchSize = settings.ubatch;
        inherit (settings) flashAttention;
        device = said.fit.machine.gpu != null;
      }) said.fit.needs.totalMiB
    )
  ) (builtins.readDir ./fit);
in
fitCases
// {
  "fit: warns about a model that does not fit into memory" =
    let
      shape = lib.importJSON ./fit/dense.json // {
        weightsMiB = 40000;
      };
      warnings =
        (core {
          enable = true;
          facts = facts [ ] // {
            memory.totalMiB = 16384;
          };
          llama-cpp = {
            enable = true;
            model = "big.gguf";
            inherit shape;
          };
        }).warnings;
    in
    equal true (
      lib.any (
        w:
        lib.all (word: hasInfix word w) [
          "big.gguf needs about 40"
          "16384 MiB"
          "contextSize"
        ]
      ) warnings
    );
  "fit: warns about a model that does not fit on its card" =
    let
      shape = lib.importJSON ./fit/dense.json // {
        weightsMiB = 40000;
      };
      warnings =
        (core {
          enable = true;
          facts = facts [ ada ];
          llama-cpp = {
            enable = true;
            model = "big.gguf";
            inherit shape;
          };
        }).warnings;
    in
    equal true (
      lib.any (w: hasInfix "slot 0000:01:00.0" w && hasInfix "llama-cpp takes 40" w) warnings
    );
  "fit: does not warn about a model that fits" = equal [ ] (
    lib.filter (hasInfix "needs about")
      (core {
        enable = true;
        facts = facts [ ] // {
          memory.totalMiB = 16384;
        };
        llama-cpp = {
          enable = true;
          model = "small.gguf";
          shape = ./fit/dense.json;
        };
      }).warnings
  );
  "GPU: a current NVIDIA card gets the open modules, CDI and modesetting" =
    let
      config = host [ ada ] { };
    in
    equal
      [
        config.services.xserver.videoDrivers
        config.hardware.nvidia.open
        config.hardware.nvidia.branch
        config.hardware.nvidia.modesetting.enable
        config.hardware.nvidia-container-toolkit.enable
        config.hardware.graphics.enable
      ]
      [
        [ "nvidia" ]
        true
        "stable"
        true
        true
        true
      ];
  "GPU: Pascal gets the closed modules of the legacy branch" =
    let
      config = host [ pascal ] { };
    in
    equal
      [
        config.hardware.nvidia.open
        config.hardware.nvidia.branch
      ]
      [
        false
        "legacy_580"
      ];
  "GPU: a user can override detected values" =
    let
      config = nixos [
        {
          nixpkgs.config.allowUnfree = true;
          hardware.nvidia.open = false;
          services.aiStack = {
            enable = true;
            facts = facts [ ada ];
            gpu.nvidia.branch = "beta";
          };
        }
      ];
    in
    equal
      [
        config.hardware.nvidia.open
        config.hardware.nvidia.branch
      ]
      [
        false
        "beta"
      ];
  "GPU: refuses two NVIDIA generations that need different drivers" =
    refuses
      (host [
        ada
        (pascal // { slot = "0000:02:00.0"; })
      ] { })
      [
        "different drivers"
        "0000:01:00.0 (RTX 4090"
        "legacy_580"
        "services.aiStack.gpu.nvidia.branch"
      ];
  "GPU: the containers wait for the CDI generator" =
    let
      unit = (host [ ada ] { }).virtualisation.quadlet.containers.local-ai-ollama.unitConfig;
    in
    equal
      [
        (lib.elem "nvidia-container-toolkit-cdi-generator.service" unit.After)
        (lib.elem "nvidia-container-toolkit-cdi-generator.service" unit.Wants)
      ]
      [ true true ];
  "GPU: AMD needs no further driver" =
    let
      config = host [ rdna3 ] { gpu.amd.lact = true; };
    in
    equal
      [
        config.services.xserver.videoDrivers
        config.hardware.graphics.enable
        config.services.lact.enable
        config.hardware.nvidia-container-toolkit.enable
      ]
      [
        (nixos [ ]).services.xserver.videoDrivers
        true
        true
        false
      ];
  "GPU: Intel gets its compute runtime" = equal true (
    lib.any (p: lib.getName p == "intel-compute-runtime")
      (host [ arc ] { }).hardware.graphics.extraPackages
  );
  "GPU: a hybrid machine configures both cards and uses the NVIDIA card" =
    let
      config = host [
        ada
        apu
      ] { };
    in
    equal
      [
        config.services.aiStack.gpu.nvidia.enable
        config.services.aiStack.gpu.amd.enable
        (container config).devices
      ]
      [
        true
        true
        [ "nvidia.com/gpu=all" ]
      ];
  "GPU: the console of a server does not count" =
    let
      config = host [ bmc ] { };
    in
    equal
      [
        (container config).devices
        config.hardware.nvidia-container-toolkit.enable
        (lib.any (hasInfix "GPU") config.warnings)
      ]
      [
        [ ]
        false
        false
      ];
  "GPU: a slot selects one of two NVIDIA cards" =
    let
      second = ada // {
        slot = "0000:41:00.0";
      };
    in
    equal
      (container (
        stack [ apu ada second ] {
          gpu.backend = "cuda";
          gpus = [ "0000:41:00.0" ];
        }
      )).devices
      [ "nvidia.com/gpu=1" ];
  "GPU: refuses a slot without a card of the backend" =
    refuses (stack [ ada ] { gpus = [ "0000:99:00.0" ]; })
      [
        "services.aiStack.ollama.gpus"
        "0000:99:00.0"
        "0000:01:00.0 (nvidia, cuda)"
      ];
  "GPU: an empty list selects the processor" =
    let
      c = container (stack [ ada ] { gpus = [ ]; });
    in
    equal
      [
        c.devices
        (hasInfix "rocm" c.image)
      ]
      [
        [ ]
        false
      ];
  "GPU: ROCm has its image, its devices and the user's override" =
    let
      config = core {
        enable = true;
        facts = facts [ rdna3 ];
        gpu.hsaOverrideGfxVersion = "11.0.0";
        ollama = {
          enable = true;
          gpus = [ "0000:03:00.0" ];
        };
      };
      c = container config;
    in
    equal
      [
        (hasInfix "-rocm" c.image)
        c.devices
        c.environments.HSA_OVERRIDE_GFX_VERSION
        c.environments.ROCR_VISIBLE_DEVICES
      ]
      [
        true
        [
          "/dev/kfd"
          "/dev/dri"
        ]
        "11.0.0"
        "0"
      ];
  "GPU: rootless containers keep the user's groups" =
    let
      config = nixos [
        {
          users.users.ann.isNormalUser = true;
          services.aiStack.facts = facts [ rdna3 ];
          home-manager.users.ann.services.aiStack = {
            enable = true;
            facts = facts [ rdna3 ];
            ollama.enable = true;
          };
          home-manager.users.ann.home.stateVersion = "26.05";
        }
      ];
    in
    equal
      [
        config.home-manager.users.ann.virtualisation.quadlet.containers.local-ai-ollama.containerConfig.addGroups
        (lib.all (g: lib.elem g config.users.users.ann.extraGroups) [
          "render"
          "video"
        ])
      ]
      [
        [ "keep-groups" ]
        true
      ];
  "GPU: warns about services that do not fit on one card together" = equal true (
    lib.any
      (
        w:
        lib.all (word: hasInfix word w) [
          "0000:01:00.0"
          "24564 MiB"
          "ollama takes 20000 MiB"
          "llama-cpp takes 8000 MiB"
        ]
      )
      (core {
        enable = true;
        facts = facts [ ada ];
        ollama = {
          enable = true;
          gpu.memoryMiB = 20000;
        };
        llama-cpp = {
          enable = true;
          model = "m.gguf";
          gpu.memoryMiB = 8000;
        };
      }).warnings
  );
  "GPU: does not warn about services that fit on one card" = equal false (
    lib.any (hasInfix "slot 0000:01:00.0")
      (core {
        enable = true;
        facts = facts [ ada ];
        ollama = {
          enable = true;
          gpu.memoryMiB = 12000;
        };
      }).warnings
  );
  "GPU: accepts a host without facts and GPU" = accepts (stack [ ] { });
}
