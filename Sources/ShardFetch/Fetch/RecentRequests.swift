/// What is remembered of requests for a while after they were made, by their numbers.
///
/// Bounded: the oldest are forgotten first, half of them at once, so that not each one moves all.
struct RecentRequests<Value: Sendable>: Sendable {
    private let most: Int
    private var values: [UInt32: Value] = [:]
    private var order: [UInt32] = []

    /// - Parameter most: how many are remembered; more than can matter at one moment.
    init(most: Int) {
        self.most = most
    }

    /// What is remembered of a request; nil where nothing is.
    subscript(request: UInt32) -> Value? { values[request] }

    /// Remembers something of a request.
    mutating func note(_ value: Value, of request: UInt32) {
        if order.count >= most {
            for old in order.prefix(most / 2) { values[old] = nil }
            order.removeFirst(most / 2)
        }
        values[request] = value
        order.append(request)
    }

    /// Changes what is remembered of a request; nothing happens where it is forgotten.
    mutating func change(_ request: UInt32, _ body: (inout Value) -> Void) {
        guard var value = values[request] else { return }
        body(&value)
        values[request] = value
    }
}
