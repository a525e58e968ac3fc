package picker

import "github.com/go-loadbalancer/lb"

// HashClient sends each client address to the same backend, by PickInfo.ClientIP. An IPv4
// address is the same client if it is written as IPv6. It is Rendezvous with ClientKey.
func HashClient(set lb.Set) lb.Picker { return newRendezvous(set, ClientKey(Secret{})) }

// HashHeader sends requests with the same value of a header to the same backend, as HashClient
// does with addresses. The first line counts; an empty one is none. The header Host is the
// request's. It is Rendezvous with HeaderKey.
func HashHeader(name string) lb.Policy {
	return Rendezvous(RendezvousConfig{Key: HeaderKey(name, Secret{})})
}

// HashCookie sends requests with the same value of a cookie to the same backend, as HashClient
// does with addresses. Names of cookies are told apart by case. The first of that name counts;
// an empty one is none, and so is one behind 256 others. It is Rendezvous with CookieKey.
func HashCookie(name string) lb.Policy {
	return Rendezvous(RendezvousConfig{Key: CookieKey(name, Secret{})})
}
