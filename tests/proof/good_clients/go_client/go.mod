module runwire.example/client

go 1.19
