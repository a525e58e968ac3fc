package lb_test

// theirTests are the tests of net/http/httputil's reverseproxy_test.go in Go 1.26.8, in the order of
// that file, without TestReverseProxy before the name where there is more. Where ours differs on
// purpose, or has no such thing, it says so; rows in mannersOf... are the others.
var theirTests = []struct{ name, instead string }{
	{name: "TestReverseProxy"},
	{name: "StripHeadersPresentInConnection"},
	{name: "StripEmptyConnection"},
	{name: "XForwardedFor"}, // kept and added to behind TrustedProxies only: TestForwardingHeaders
	{"XForwardedFor_Omit", "who the client is, is always said; nobody can leave it out"},
	{name: "RewriteStripsForwarded"}, // and the fields that the standard proxy does not know
	{"Query", "a backend's URL has no query: NewPool says so"},
	{name: "FlushInterval"}, // there is no interval: a part is passed on before the next is waited for
	{name: "ResponseControllerFlushInterval"},
	{name: "FlushIntervalHeaders"},
	{name: "Cancellation"},
	{name: "NilBody"},
	{name: "UserAgentHeader"},
	{"GetPutBuffer", "buffers are the engine's own"},
	{name: "_Post"},
	{name: "_NilBody"},
	{name: "AllocatedHeader"},
	{"ModifyResponse", "no hook changes answers: a http.Handler around the balancer may"},
	{name: "ErrorHandler"}, // Config.OnError: TestOnError
	{name: "_CopyBuffer"},
	{name: "ServeHTTPDeepCopy"},
	{name: "ClonesRequestHeaders"},
	{"ModifyResponseClosesBody", "see ModifyResponse"},
	{name: "_PanicBodyError"},
	{name: "_PanicClosesIncomingBody"},
	{"SelectFlushInterval", "see FlushInterval"},
	{name: "WebSocket"},
	{name: "WebSocketCancellation"},
	{name: "WebSocketHalfTCP"},
	{name: "UpgradeNoCloseWrite"},
	{name: "UnannouncedTrailer"},
	{"SetURL", "Host stays as it came unless Config.RewriteHost: TestPathsAndHosts"},
	{name: "SingleJoinSlash"},
	{name: "JoinURLPath"}, // TestPathsAndHosts has more
	{"RewriteReplacesOut", "there is no Rewrite"},
	{name: "1xxHeadersNotModifiedAfterRoundTrip"}, // under -race
	{name: "1xxResponses"},
	{name: "QueryParameterSmugglingDirectorDoesNotParseForm"}, // queries are never read, and pass as they came
	{name: "QueryParameterSmugglingDirectorParsesForm"},
	{name: "QueryParameterSmugglingRewrite"},
	{name: "QueryParameterSmugglingRewritePreservesRawQuery"},
	{name: "HijackCopyError"},
	{name: "InvalidUpstream100ContinueDoNotHang"},
	{"BenchmarkServeHTTP", "the module bench measures both side by side"},
}
