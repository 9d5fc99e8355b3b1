"""
The sandbox: an acquirer, a bank and a Stripe in one process, with a book of their own.

It stands where the real ones would: a separate process that speaks HTTP, keeps its own book of what
it was told to charge, and knows nothing of PayFlow. What it says is therefore evidence: after a
test or a race, its book is compared with ours. It imports the standard library only.

    PAYFLOW_SANDBOX_SECRET=… python -m payflow.sandbox --port 8001 --book sandbox.sqlite3

It listens on 127.0.0.1 (`--address` is for containers), prints `sandbox ready on
http://127.0.0.1:8001`, and ends on SIGTERM. The book survives `kill -9`; gates, chaos and the other
switches do not. The secret is the bearer token of every call below, and signs callbacks.
`--hang-seconds` (30) is how long a hanging call hangs.

# The acquirer

Below `/acquirers/{acquirer}/`, any name of a-z and `-`; the book keeps them apart. Header
`Authorization: Bearer <secret>`, else 401. Amounts are whole minor units.

    POST authorisations                        {"amountMinor": 25000, "currency": "USD",
                                                "merchantReference": "…", "instrument": {…},
                                                "returnUrl"?: "…", "callbackUrl"?: "…"}
    POST authorisations/{reference}/captures   {"amountMinor", "currency", "final": true | false}
    POST authorisations/{reference}/voids      {}
    POST authorisations/{reference}/refunds    {"amountMinor", "currency"}
    GET  operations/{key}                      what became of an operation

An instrument is `{"type": "TOKEN", "token"}`, `{"type": "CARD", "number", "expMonth", "expYear"}`,
`{"type": "WALLET", "provider", "walletId"}` or `{"type": "NETBANKING", "bankCode"}`. A card number
is forgotten as soon as it is read.

Every POST has an `Idempotency-Key` and answers 201:

    {"reference": "…", "kind": "AUTHORISE | CAPTURE | VOID | REFUND",
     "status": "APPROVED | DECLINED | PENDING", "amountMinor": 25000, "currency": "USD",
     "reason"?: "do_not_honor", "retryable"?: true, "redirect"?: {"url", "expiresAt"}}

A void's amount is what it released. The same key with the same body gets the same answer (of what
was pending: how it was decided) and `Idempotent-Replayed: true`; with another body 409
`key_reused`; while the first is worked on 409 `in_progress`, also to an inquiry. A retryable
decline is not kept: its key may be sent again. An inquiry that answers 404 `not_found` is
authoritative at that moment. Malformed requests get 400 `{"error": "…"}`.

Captures beyond the hold, voids of nothing and refunds beyond what was captured are DECLINED:
`authorisation_not_found`, `currency_mismatch`, `amount_exceeds_authorisation`, `already_captured`,
`already_voided`, `not_captured`, `amount_exceeds_captured`. They stand in the book, because a
client that needs them has failed to guard its own.

`GET /book?after=0&limit=1000` answers every line ever decided, oldest first; `next` is null at the
end:

    {"lines": [{"sequence", "acquirer", "kind", "key", "merchantReference", "reference",
                "authorisation", "amountMinor", "currency", "status", "reason", "at"}],
     "next": 1000}

What was pending and is decided gets a second line.

# Triggers

A token `tok_<fault>` strikes the authorisation; `tok_capture_<fault>`, `tok_void_<fault>` and
`tok_refund_<fault>` strike those calls of it. Wallet ids and bank codes are read likewise, capitals
allowed and `tok_` not needed. Any other token approves everything.

    declined                DECLINED do_not_honor
    insufficient_funds      DECLINED insufficient_funds
    retryable               DECLINED issuer_unavailable, retryable, twice; then approved
    always_retryable        the same for ever
    timeout_before          first send: nothing booked, hangs, closes
    timeout_after_charge    first send: booked, hangs, closes
    slow                    decides after 2 s
    unreachable             first two sends: connection reset, nothing booked
    bad_gateway_before      first send: 502 with HTML, nothing booked
    bad_gateway             first send: 502 with HTML, booked
    half_body               first send: booked, half of the JSON, closes
    no_json                 first send: booked, 201 with text
    wrong_amount            booked right; the first answer says one unit more, an inquiry is right
    wrong_charge            books and says one unit more, for ever
    duplicate               booked once, called back twice
    late                    first send: closes at once, booked 3 s later; an inquiry before says 404
    pending                 PENDING; APPROVED 2 s later, with a callback
    flaky                   3 in 10 sends end in doubt (closed, reset, 502 or half a body, before or
                            after booking), 1 in 10 inquiries gets 503; by a hash, so repeatable
    deaf                    first send: booked, closes; the first five inquiries get 503
    mute_inquiry            first send: booked, closes; inquiries get 503 until `/control/mute` is
                            off
    gate_<name>             captures, voids and refunds wait, before booking, while the gate is
                            closed

Cards that mean the same; every other number approves:

    4000000000000002  declined                   4000000000010068  half_body
    4000000000009995  insufficient_funds         4000000000010076  wrong_amount
    4000000000000119  retryable                  4000000000010084  pending
    4000000000010019  timeout_before             4000000000010092  flaky
    4000000000010027  timeout_after_charge       4000000000010100  capture_timeout_after_charge
    4000000000010035  slow                       4000000000010118  refund_timeout_after_charge
    4000000000010043  unreachable                4000000000010126  capture_declined
    4000000000010050  bad_gateway                4000000000010134  refund_declined

# Control

    PUT /control/gates/{name}   {"closed": true | false}; GET answers {"closed", "waiting"}.
                                Nobody waits longer than a minute.
    PUT /control/chaos          {"unknownRate": 0.1, "seed": 1}: so many sends of any operation end
                                in doubt, half before booking and half after; the same seed strikes
                                the same sends
    PUT /control/down           {"acquirer": "sandbox", "down": true}: its calls are reset
    PUT /control/mute           {"on": false}: `mute_inquiry` is heard

# The bank

`sandbox-bank` answers authorisations with PENDING and a redirect to `/bank/{reference}`, a page on
which the payer approves or declines within 15 minutes (`bankCode` `EXPIRES`: 3 s); after that it
is DECLINED `redirect_expired`. The payer goes back to `returnUrl`, `paymentReference` added to its
query.

# Callbacks

`POST <callbackUrl>` `{"key": "…", "status": "APPROVED | DECLINED"}` about what was pending, with
`X-Acquirer-Signature: t=<epoch>,v1=<hex HMAC-SHA256(secret, t + "." + body)>`; five tries. Only a
`callbackUrl` of http on this machine is called.

# The Stripe face

`/v1/payment_intents` (create with `confirm=true` and `capture_method=manual`, retrieve, list,
capture, cancel) and `/v1/refunds` (create, retrieve, list) in Stripe's own forms, objects, errors
and idempotency, for any key that begins with `sk_test_`; acquirer `stripe` in the book, whose
`merchantReference` is `metadata[payment_id]`. Stripe's test methods (`pm_card_visa`,
`pm_card_chargeDeclined`, `pm_card_chargeDeclinedInsufficientFunds`,
`pm_card_authenticationRequired`, `tok_visa`, …) mean what they mean there, and
`payment_method_data[card][token]` takes the triggers above. As at Stripe, a decline is kept under
its key, also a retryable one, and a replay repeats the first answer for ever. Inquiries are reads
of an intent, of its refunds, or of a list that contains it.

Events go to `PAYFLOW_SANDBOX_STRIPE_WEBHOOK_URL`, if set, signed with `whsec_<secret>`:
`payment_intent.amount_capturable_updated`, `.succeeded`, `.canceled`, `.payment_failed`, and
`charge.refunded`.
"""
