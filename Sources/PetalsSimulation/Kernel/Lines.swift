internal import DequeModule
package import ShardFetch

/// What the lines of all nodes carry: the only model of bytes that move.
///
/// An uplink sends one parcel at a time, and the receivers that wait for something take turns, so
/// that whoever asks for much gets no more than his share: processor sharing in steps of a parcel,
/// which is what connections over TCP, each served by its own worker, come to. A downlink takes
/// parcels in the order in which they come and passes them on while they still arrive, so that the
/// slower of both lines decides; where several senders fill it, they share it in turns too.
///
/// The order of events is the caller's: a line that is given work says when it will be free, and
/// is told when that is.
package struct Lines {
    /// Bytes on the way from one node to another.
    package struct Parcel: Hashable, Sendable {
        /// What the caller knows it by.
        package let id: Int
        package let source: Int
        package let target: Int
        package let bytes: Int

        package init(id: Int, source: Int, target: Int, bytes: Int) {
            self.id = id
            self.source = source
            self.target = target
            self.bytes = bytes
        }
    }

    /// What became of a line that was free at last.
    package struct Delivery: Sendable {
        package let parcel: Parcel
        /// When the receiver has all of it.
        package let arrivesAt: Instant
        /// When the line is free again; nil when nothing waits.
        package let freeAt: Instant?
    }

    private struct Line {
        let upload: Double
        let download: Double
        /// Receivers that wait, in the order of their turns.
        var turns: Deque<Int> = []
        var waiting: [Int: Deque<Parcel>] = [:]
        var sending: (parcel: Parcel, since: Instant)?
        /// Counts how often the line was cut: a moment that was announced before means nothing.
        var cuts = 0
        var downloadFreeAt: Instant = 0
        var uploadedBytes = 0
        var downloadedBytes = 0
    }

    private var lines: [Line] = []
    /// Seconds from one node to another.
    private let latency: (Int, Int) -> Instant

    /// Makes a world without lines.
    package init(latency: @escaping (Int, Int) -> Instant) {
        self.latency = latency
    }

    /// Adds a node's line and gives its number; rates are in bytes a second.
    package mutating func add(upload: Double, download: Double) -> Int {
        precondition(upload > 0 && download > 0)
        lines.append(Line(upload: upload, download: download))
        return lines.count - 1
    }

    // MARK: Sending

    /// Puts a parcel into its sender's queue.
    ///
    /// - Returns: when the line will be free; nil where that was said already.
    package mutating func send(_ parcel: Parcel, now: Instant) -> Instant? {
        let source = parcel.source
        if lines[source].waiting[parcel.target] == nil {
            lines[source].waiting[parcel.target] = []
            lines[source].turns.append(parcel.target)
        }
        lines[source].waiting[parcel.target]?.append(parcel)
        return lines[source].sending == nil ? begin(source, now: now) : nil
    }

    /// The moment has come that `send` or `freed` said.
    ///
    /// - Parameter cuts: what `cuts(_:)` was when the moment was said.
    /// - Returns: nil where the line was cut since.
    package mutating func freed(_ node: Int, cuts: Int, now: Instant) -> Delivery? {
        guard lines[node].cuts == cuts, let (parcel, since) = lines[node].sending else {
            return nil
        }
        lines[node].sending = nil
        lines[node].uploadedBytes += parcel.bytes
        let target = parcel.target
        let free =
            max(lines[target].downloadFreeAt, since)
            + Double(parcel.bytes) / lines[target].download
        lines[target].downloadFreeAt = free
        lines[target].downloadedBytes += parcel.bytes
        return Delivery(
            parcel: parcel, arrivesAt: max(free, now) + latency(node, target),
            freeAt: begin(node, now: now))
    }

    /// Begins with the next parcel, and says when it will be over.
    private mutating func begin(_ node: Int, now: Instant) -> Instant? {
        guard let target = lines[node].turns.popFirst(),
            let parcel = lines[node].waiting[target]?.popFirst()
        else { return nil }
        if lines[node].waiting[target]?.isEmpty == true {
            lines[node].waiting[target] = nil
        } else {
            lines[node].turns.append(target)
        }
        lines[node].sending = (parcel, now)
        return now + Double(parcel.bytes) / lines[node].upload
    }

    /// Takes back what has not begun to be sent.
    package mutating func cancel(from source: Int, to target: Int, where isGone: (Parcel) -> Bool) {
        guard lines[source].waiting[target] != nil else { return }
        lines[source].waiting[target]?.removeAll(where: isGone)
        guard lines[source].waiting[target]?.isEmpty == true else { return }
        lines[source].waiting[target] = nil
        lines[source].turns.removeAll { $0 == target }
    }

    /// Cuts a node's line: what it was sending is lost, and so is what waited.
    package mutating func cut(_ node: Int, now: Instant) {
        lines[node].turns.removeAll()
        lines[node].waiting.removeAll()
        if let (parcel, since) = lines[node].sending {
            // What had left by now was carried for nothing.
            let part = Int((now - since) * lines[node].upload)
            lines[node].uploadedBytes += min(max(part, 0), parcel.bytes)
        }
        lines[node].sending = nil
        lines[node].cuts += 1
    }

    // MARK: Books

    /// How often a line was cut, to be kept with each moment that `send` and `freed` say.
    package func cuts(_ node: Int) -> Int { lines[node].cuts }
    /// Bytes a second that a node can send.
    package func upload(_ node: Int) -> Double { lines[node].upload }
    /// Bytes that a node has sent.
    package func uploadedBytes(_ node: Int) -> Int { lines[node].uploadedBytes }
    /// Bytes that were sent to a node.
    package func downloadedBytes(_ node: Int) -> Int { lines[node].downloadedBytes }
    /// Bytes that wait for a node's uplink, without those that it is sending.
    package func queuedBytes(_ node: Int) -> Int {
        lines[node].waiting.values.reduce(0) { $0 + $1.reduce(0) { $0 + $1.bytes } }
    }
    /// Whether a node's uplink has something to do for others than one receiver.
    package func isContended(_ node: Int, by receiver: Int) -> Bool {
        lines[node].waiting.keys.contains { $0 != receiver }
    }
    /// Nodes that something waits for at a node's uplink.
    package func waitingReceivers(_ node: Int) -> Int { lines[node].waiting.count }
}
