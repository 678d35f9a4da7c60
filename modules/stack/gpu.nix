# Devices and variables that give a container its GPUs.
{ lib }:
let
  inherit (lib)
    concatMapStringsSep
    elem
    filter
    findFirst
    imap0
    optionalAttrs
    ;

  vendorOf = {
    cuda = "nvidia";
    rocm = "amd";
    sycl = "intel";
  };
in
rec {
  # The groups that /dev/dri and /dev/kfd belong to (systemd's 50-udev-default.rules).
  groups = [
    "render"
    "video"
  ];

  # The machine's cards that a backend can use, in the order of their slots: CUDA's container
  # toolkit, ROCm and Vulkan number the cards in this order.
  cardsFor =
    backend: cards:
    filter (
      c: c.backend != "cpu" && (!(vendorOf ? ${backend}) || c.vendor == vendorOf.${backend})
    ) cards;

  # The slots that a service claims.
  claimed =
    {
      backend,
      gpus,
      cards,
    }:
    if backend == "cpu" then
      [ ]
    else if gpus == "all" then
      map (c: c.slot) (cardsFor backend cards)
    else
      gpus;

  unknown =
    {
      backend,
      gpus,
      cards,
    }:
    if gpus == "all" then
      [ ]
    else
      filter (slot: !(elem slot (map (c: c.slot) (cardsFor backend cards)))) gpus;

  indexOf =
    backend: cards: slot:
    (findFirst (c: c.slot == slot) { index = 0; } (
      imap0 (index: c: {
        inherit index;
        inherit (c) slot;
      }) (cardsFor backend cards)
    )).index;

  devices =
    {
      backend,
      gpus,
      cards,
    }:
    {
      cuda =
        if gpus == "all" then
          [ "nvidia.com/gpu=all" ]
        else
          map (slot: "nvidia.com/gpu=${toString (indexOf backend cards slot)}") gpus;
      rocm = [
        "/dev/kfd"
        "/dev/dri"
      ];
      vulkan = [ "/dev/dri" ];
      sycl = [ "/dev/dri" ];
      cpu = [ ];
    }
    .${backend};

  # /dev/dri contains all cards. These variables select some of them.
  environment =
    {
      backend,
      gpus,
      cards,
      hsaOverrideGfxVersion,
    }:
    let
      indices = concatMapStringsSep "," (slot: toString (indexOf backend cards slot)) gpus;
    in
    optionalAttrs (gpus != "all" && backend == "rocm") { ROCR_VISIBLE_DEVICES = indices; }
    // optionalAttrs (gpus != "all" && backend == "vulkan") { GGML_VK_VISIBLE_DEVICES = indices; }
    // optionalAttrs (gpus != "all" && backend == "sycl") {
      ONEAPI_DEVICE_SELECTOR = "level_zero:${indices}";
    }
    // optionalAttrs (backend == "rocm" && hsaOverrideGfxVersion != null) {
      HSA_OVERRIDE_GFX_VERSION = hsaOverrideGfxVersion;
    };

  # Compares the memory of each card with the sum of what its services use, as far as both are
  # known. One message for each card that is too small.
  tooSmall =
    { cards, services }:
    lib.concatMap (
      card:
      let
        users = filter (s: elem card.slot s.slots && s.memoryMiB != null) services;
        sum = lib.foldl' (n: s: n + s.memoryMiB) 0 users;
        vram = card.vramMiB;
      in
      if vram != null && users != [ ] && sum > vram then
        [
          "services.aiStack: the GPU in slot ${card.slot} has ${toString vram} MiB, and ${
            concatMapStringsSep ", " (s: "${s.name} takes ${toString s.memoryMiB} MiB") users
          } of it: together ${toString sum} MiB. Give one of them another card (services.aiStack.<name>.gpus), a smaller model or context, or the processor (gpus = [ ])."
        ]
      else
        [ ]
    ) cards;
}
