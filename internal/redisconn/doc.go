// Package redisconn is the one way from this module into Redis, and the only package that
// imports rueidis.
//
// A proxy asks Redis on the path of its requests, so what matters is not how fast Redis answers
// but how little is lost when it does not. rueidis by itself waits, each of these measured on
// v1.0.79 with a server stopped by SIGSTOP: a full pipeline ignores contexts, for seconds; so
// does whoever waits while another goroutine dials; reads are tried again for ever. A [Conn]
// therefore runs each command in a goroutine of its own, without a deadline, and only the caller
// has one. A command keeps its place among the 256 in flight until it has truly ended, however
// long ago its caller left: the pipeline, four times as long, is never full. A silent
// connection is closed after about 0.9 seconds, which ends what waits for it.
//
// After five failures in a row no command is sent any more, but one each second as a trial: a
// caller like any other, no background work. Its success ends the outage.
//
// Values that are read or compared are cut at [MaxValue] bytes: what another client of the same
// Redis has written cannot fill the memory of this process.
package redisconn
