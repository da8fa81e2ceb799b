module runwire.example/good-go-server

go 1.19
