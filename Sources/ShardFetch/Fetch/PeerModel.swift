internal import PetalsCore

/// What experience says of one peer: how soon it begins to answer and how fast it delivers.
package struct PeerModel: Sendable {
    /// Bytes asked and not yet come.
    package private(set) var outstandingBytes = 0
    package private(set) var outstandingRequests = 0
    /// The smallest time from a request to its first leaves, in seconds.
    private(set) var latencyMin: Instant = 0.02
    /// Smoothed time from request to answer and its deviation, as TCP does it (RFC 6298).
    private(set) var latencyMean: Instant = 0.05
    private(set) var latencyDeviation: Instant = 0.025
    /// Bytes a second, smoothed over stretches in which something was outstanding.
    private(set) var rate: Double = 20e6
    /// The best of such stretches; older ones count for less.
    ///
    /// What a line can carry: the smoothed rate falls with whatever else keeps this machine busy.
    private var rateBest: Double = 0

    /// Mills for 1 KiB that the peer asks for what nobody else has.
    var ask = CreditTerms.basePrice
    /// How much later a peer may be that asks for nothing more than the usual price, for each time
    /// that price that another asks for more.
    private static let secondsPerPrice = 0.25

    /// Requests under way that were given up as late.
    private(set) var lateRequests = 0
    /// When the peer last gave a sign of life while something was asked of it.
    private(set) var quietSince: Instant = 0

    /// Times in a row that the peer refused what it had said that it holds, or never answered.
    private(set) var brokenClaims = 0

    private var measured = false
    private var stretchStart: Instant?
    private var stretchBytes = 0

    package init() {}

    /// Bytes that may be under way from this peer: what it delivers in its latency plus 20 ms of
    /// slack, with a quarter on top so that a faster peer is found out.
    package var windowBytes: Int {
        let window = 1.25 * rate * (latencyMin + 0.02)
        return Int(min(max(window, Double(2 * Limits.cellBytes)), 8 * 1024 * 1024))
    }

    /// Whether the peer may be asked for so many more bytes.
    ///
    /// A read that waits may use twice the window of what nobody waits for.
    package func hasRoom(for bytes: Int, bulk: Bool) -> Bool {
        guard outstandingRequests < Limits.requestsPerPeerMax / 2 else { return false }
        // An idle peer always takes one request, however small its window is.
        return outstandingBytes == 0
            || outstandingBytes + bytes <= (bulk ? windowBytes : 2 * windowBytes)
    }

    /// Seconds until so many more bytes are expected to be here; longer, the oftener the peer broke
    /// what it claimed.
    package func expectedSeconds(for bytes: Int) -> Instant {
        answerSeconds(for: bytes) + doubtSeconds
    }

    /// The same of a peer that gives what it claims.
    private func answerSeconds(for bytes: Int) -> Instant {
        latencyMean + Double(outstandingBytes + bytes) / rate
    }

    /// The same for comparing holders: of two that are about as soon, the cheaper one is better.
    func cost(ofSeconds seconds: Instant) -> Instant {
        let more = Double(ask - CreditTerms.basePrice) / Double(CreditTerms.basePrice)
        return seconds * (1 + Self.secondsPerPrice * max(0, more))
    }

    /// How much later than it says that a peer is expected, of which nothing came of what it
    /// claimed: whoever claims everything and gives nothing is always quick, and was asked first.
    ///
    /// Nothing for the first time: cells are evicted while requests are on their way. From then on
    /// twice as much each time, up to a minute, until it gives something. It only puts the peer
    /// after others: whoever is the last to claim a cell is asked all the same.
    private var doubtSeconds: Instant {
        brokenClaims < 2 ? 0 : 0.125 * Double(1 << min(brokenClaims, 9))
    }

    /// Seconds for which so many bytes keep the peer's line busy at its best; nil before it was
    /// measured.
    func lineSeconds(for bytes: Int) -> Instant? {
        rateBest > 0 ? Double(bytes) / rateBest : nil
    }

    /// Seconds after which an answer is later than this peer usually is.
    func patienceSeconds(for bytes: Int) -> Instant {
        max(0.03, answerSeconds(for: bytes) + 4 * latencyDeviation)
    }

    mutating func asked(_ bytes: Int, now: Instant) {
        if outstandingBytes == 0 {
            quietSince = now
            stretchStart = now
            stretchBytes = 0
        }
        outstandingBytes += bytes
        outstandingRequests += 1
    }

    mutating func delivered(_ bytes: Int, sentAt: Instant, now: Instant) {
        outstandingBytes = max(0, outstandingBytes - bytes)
        quietSince = now
        brokenClaims = 0
        let sample = max(now - sentAt, 1e-6)
        latencyMin = measured ? min(latencyMin * 1.001, sample) : sample
        // The queue in front of a request is in `outstandingBytes / rate`; what is left is latency.
        let own = max(sample - Double(outstandingBytes) / rate, latencyMin)
        latencyDeviation += (abs(own - latencyMean) - latencyDeviation) / 4
        latencyMean += (own - latencyMean) / 8
        measured = true
        stretchBytes += bytes
        guard let start = stretchStart, now - start >= 0.02, stretchBytes >= Limits.cellBytes else {
            return
        }
        let sampleRate = Double(stretchBytes) / (now - start)
        rate += (sampleRate - rate) * (sampleRate > rate || sampleRate < rate / 4 ? 0.5 : 0.2)
        rate = max(rate, 64 * 1024)
        rateBest = max(sampleRate, 0.99 * rateBest)
        stretchStart = now
        stretchBytes = 0
    }

    /// Whether the peer has delivered nothing since it was asked for something, for much longer
    /// than it ever takes to begin.
    func isSilent(since sentAt: Instant, now: Instant) -> Bool {
        now - max(sentAt, quietSince) >= 2 + (measured ? 4 * latencyMin : 0)
    }

    /// Whether the peer is late with something and has delivered nothing for a second: it is asked
    /// for nothing else, and nobody waits for room in its window.
    package func isStalled(now: Instant) -> Bool { lateRequests > 0 && now - quietSince >= 1 }

    /// A request is over, with so many bytes that never came.
    mutating func finished(undelivered bytes: Int, wasLate: Bool) {
        if wasLate { lateRequests = max(0, lateRequests - 1) }
        outstandingBytes = max(0, outstandingBytes - bytes)
        outstandingRequests = max(0, outstandingRequests - 1)
    }

    /// The peer does not have what it claims, or does not answer at all.
    mutating func brokeClaim() { brokenClaims = min(brokenClaims + 1, 64) }

    /// The peer kept a request waiting: think less of it.
    mutating func disappointed() {
        lateRequests += 1
        rate = max(rate / 2, 64 * 1024)
        latencyMean = min(latencyMean * 1.5, 5)
    }
}
