package main

func changeRows() []row { return nil }
