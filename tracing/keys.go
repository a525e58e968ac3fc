package tracing

import "go.opentelemetry.io/otel/attribute"

// The keys that we use of OpenTelemetry's semantic conventions 1.43.0.
const (
	schemaURL = "https://opentelemetry.io/schemas/1.43.0"

	clientAddress          = attribute.Key("client.address")
	errorType              = attribute.Key("error.type")
	httpRequestMethod      = attribute.Key("http.request.method")
	httpRequestMethodAsIs  = attribute.Key("http.request.method_original")
	httpRequestResendCount = attribute.Key("http.request.resend_count")
	httpResponseStatusCode = attribute.Key("http.response.status_code")
	networkPeerAddress     = attribute.Key("network.peer.address")
	networkPeerPort        = attribute.Key("network.peer.port")
	networkProtocolVersion = attribute.Key("network.protocol.version")
	serverAddress          = attribute.Key("server.address")
	serverPort             = attribute.Key("server.port")
	urlFull                = attribute.Key("url.full")
	urlPath                = attribute.Key("url.path")
	urlQuery               = attribute.Key("url.query")
	urlScheme              = attribute.Key("url.scheme")
	userAgentOriginal      = attribute.Key("user_agent.original")
)

// The keys of our own.
const (
	lbBackendID   = attribute.Key("lb.backend.id")
	lbAttempt     = attribute.Key("lb.attempt")
	lbReason      = attribute.Key("lb.reason")
	lbExplanation = attribute.Key("lb.explanation")
)
