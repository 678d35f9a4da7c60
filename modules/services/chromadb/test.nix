_: {
  marker = {
    write.http = {
      port = "http";
      method = "POST";
      path = "/api/v2/tenants/default_tenant/databases/default_database/collections";
      body = "{\"name\":\"marker\",\"get_or_create\":true}";
    };
    read.http = {
      port = "http";
      path = "/api/v2/tenants/default_tenant/databases/default_database/collections";
    };
    expect = "marker";
  };
}
