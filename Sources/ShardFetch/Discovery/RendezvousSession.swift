internal import CRendezvous
internal import PetalsCore

/// A DHT node and a port mapper, as CRendezvous has them; the only file that names it.
///
/// A session belongs to the thread that made it and polls it. Only `wake` may be called by another,
/// as long as that one knows that the session lives.
final class RendezvousSession: Sendable {
    /// Bytes of a routing table: libtorrent keeps some 300 nodes of 8 or 20 bytes, and their
    /// encoding.
    static let stateBytesMax = 256 << 10

    /// The handle, as a number, which crosses threads without ceremony.
    private let handle: UInt

    // SAFETY: the number is that of a handle which lives until `deinit`, and is never null.
    private var dht: OpaquePointer? { unsafe OpaquePointer(bitPattern: handle) }

    /// Starts a node.
    ///
    /// - Parameter state: what `save` gave in another life, or nothing.
    /// - Throws: `PetalsError.system` where libtorrent does not start.
    init(
        configuration: DHTConfiguration, nodes: [NumericEndpoint], state: [UInt8]
    ) throws(PetalsError) {
        let listen = configuration.listen.map(\.description).joined(separator: ",")
        let nodeBytes = nodes.flatMap(\.packed)
        var reason = [CChar](repeating: 0, count: 256)
        // SAFETY: all pointers are lent by values that live through the call, with their counts;
        // libtorrent keeps copies. The reason is NUL-terminated within its buffer.
        let created = unsafe listen.withCString { listen in
            unsafe nodeBytes.withUnsafeBufferPointer { nodes in
                unsafe state.withUnsafeBufferPointer { state in
                    var config = unsafe petals_dht_config(
                        listen: listen, nodes: nodes.baseAddress, nodes_bytes: nodes.count,
                        state: state.baseAddress, state_bytes: state.count,
                        is_private: configuration.isPrivate ? 1 : 0,
                        maps_ports: configuration.mapsPorts ? 1 : 0)
                    return unsafe reason.withUnsafeMutableBufferPointer {
                        unsafe petals_dht_create(&config, $0.baseAddress, $0.count)
                    }
                }
            }
        }
        // SAFETY: the handle is only looked at.
        guard let created = unsafe created else {
            let bytes = reason.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            throw PetalsError(
                .system,
                "the DHT does not start: \(String(decoding: bytes, as: UTF8.self)); reinstall "
                    + "libtorrent-rasterbar, or do without with --no-dht")
        }
        handle = UInt(bitPattern: created)
    }

    deinit {
        // SAFETY: nobody else refers to the session any more.
        unsafe petals_dht_destroy(OpaquePointer(bitPattern: handle))
    }

    // MARK: Asking

    // SAFETY (of all below): the handle lives, and bytes are lent with their count, or have the
    // length that their type promises.

    /// Asks nodes whether they are there, and whom they know.
    func addNodes(_ nodes: [NumericEndpoint]) {
        let bytes = nodes.flatMap(\.packed)
        // SAFETY: see above. What fails is tried again.
        _ = unsafe petals_dht_add_nodes(dht, bytes, bytes.count)
    }

    /// Announces a topic once.
    func announce(_ topic: Topic, port: UInt16) {
        // SAFETY: see above; a topic has 20 bytes. What fails is repeated, as what is lost.
        _ = unsafe petals_dht_announce(dht, topic.bytes, port)
    }

    /// Looks a topic up once.
    func find(_ topic: Topic) {
        // SAFETY: as for `announce`.
        _ = unsafe petals_dht_get_peers(dht, topic.bytes)
    }

    /// Asks for `RendezvousEvent.nodes`.
    func countNodes() {
        // SAFETY: see above. What fails is repeated.
        _ = unsafe petals_dht_count_nodes(dht)
    }

    /// Asks routers to forward a TCP port.
    func mapPort(_ port: UInt16) {
        // SAFETY: see above. Whether it worked comes as an event.
        _ = unsafe petals_dht_map_port(dht, port)
    }

    /// Stores an item; one that the network would refuse is refused here.
    ///
    /// - Returns: whether it has the form of an item.
    func put(_ item: MutableItem) -> Bool {
        guard item.key.count == 32, item.signature.count == 64 else { return false }
        // SAFETY: see above; key and signature have their lengths.
        return unsafe petals_dht_put_item(
            dht, item.key, item.signature, item.sequence, item.salt, item.salt.count, item.value,
            item.value.count) == 0
    }

    /// Looks for an item; versions of it come as `RendezvousEvent.item`.
    ///
    /// - Returns: whether there can be such an item.
    func getItem(key: [UInt8], salt: [UInt8]) -> Bool {
        guard key.count == 32 else { return false }
        // SAFETY: see above; the key has its length.
        return unsafe petals_dht_get_item(dht, key, salt, salt.count) == 0
    }

    /// The routing table; nil where it cannot be had.
    func save() -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: Self.stateBytesMax)
        // SAFETY: see above; no more than the array's count is written.
        let count = unsafe petals_dht_save(dht, &bytes, bytes.count)
        guard (1...Int64(bytes.count)).contains(count) else { return nil }
        return Array(bytes.prefix(Int(count)))
    }

    // MARK: Waiting

    /// Waits for an event; nil where none came, or one that is not understood.
    ///
    /// - Throws: `PetalsError.system` where libtorrent failed.
    func poll(seconds: Instant) throws(PetalsError) -> RendezvousEvent? {
        // An hour stands for ever: there is always something to do earlier.
        let milliseconds = UInt32((min(max(seconds, 0), 3600) * 1000).rounded(.up))
        // SAFETY: see above; the event is ours, and zeros are a valid one.
        var event = unsafe petals_dht_event()
        let result = unsafe petals_dht_poll(dht, milliseconds, &event)
        guard result >= 0 else {
            throw PetalsError(.system, "the DHT does not say what happens; restart petalsfs")
        }
        guard result > 0 else { return nil }
        // SAFETY: the event's bytes are valid until the next poll, and are copied here; so is the
        // topic, which is an array of the structure.
        let bytes = unsafe [UInt8](
            UnsafeBufferPointer(start: event.bytes, count: event.bytes_count))
        let topic = unsafe withUnsafeBytes(of: &event.topic) { unsafe [UInt8]($0) }
        return unsafe RendezvousEvent(
            kind: event.kind, number: event.number, topic: topic, bytes: bytes)
    }

    /// Ends the wait of `poll`, the present one or the next.
    func wake() {
        // SAFETY: the caller holds the session.
        unsafe petals_dht_wake(dht)
    }
}
