{ self, inputs, pkgs }: { }
