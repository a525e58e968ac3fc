package main

func lastRows() []row { return nil }
