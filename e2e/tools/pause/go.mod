module tools

go 1.25.0
