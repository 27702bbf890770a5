module scheduler0.test/client

go 1.19
