module github.com/confab-chat/confab/proto

go 1.26.0
