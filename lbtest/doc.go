// Package lbtest helps to test what a program puts into a balancer in place of what comes with
// it: its own pickers, for now.
package lbtest
