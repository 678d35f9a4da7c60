{
  checks = [ ];
}
