# Small pure functions that modules and services share; each file has one subject. Services get
# them as the argument `util`.
{ lib }:
let
  part = file: import file { inherit lib; };
in
part ./addresses.nix
// part ./commands.nix
// part ./images.nix
// part ./memory.nix
// part ./secrets.nix
// {
  systemd = part ./systemd.nix;

  # What engines compute on.
  backends = [
    "cuda"
    "rocm"
    "vulkan"
    "sycl"
    "cpu"
  ];
}
