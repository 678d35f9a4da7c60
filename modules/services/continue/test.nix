_: {
  checks = [ ];
}
