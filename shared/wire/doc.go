// Package wire is the NATS contract between the control plane and the media
// workers: subjects, messages, headers and versions. It is public: a load
// tester or another control plane may speak it from api-spec/asyncapi.yaml
// alone. Encoding, decoding and validation live here and nothing else.
//
// # Rules
//
// Messages are JSON. Version 1 only ever gains optional fields; a decoder
// ignores fields it does not know, because both sides of a rolling upgrade
// meet. A breaking change takes new subjects (sfu.v2) served beside v1 for one
// release.
//
// # One command
//
//	request  sfu.v1.worker.<wid>.session.<operation>
//	         Content-Type:  application/json
//	         Sfu-Cmd-Id:    <CommandID>   a retry repeats it; the worker answers
//	                                      from memory or joins the first attempt
//	         Sfu-Budget-Ms: <ms>          time left for the call when it was sent,
//	                                      not a timestamp: immune to clock skew
//	         traceparent:   W3C Trace Context, optional
//	reply    a Reply, or micro's error headers
//	         Nats-Service-Error-Code: <errorCode>
//	         Nats-Service-Error: <errorDescription>
//	         with the fault.Fault as JSON in the body
//
// Commands of one session are executed one at a time, and counted: Reply.Rev.
// Those that are under way together run in any order, a pull after it has
// waited for its publishers; whoever needs an order awaits each reply.
package wire
