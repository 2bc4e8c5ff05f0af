internal import PetalsCodec
internal import PetalsCore
internal import PetalsStore
internal import Synchronization

/// From a topic to the blob behind it, for yesterday, today and tomorrow: clocks differ.
final class TopicTable: Sendable {
    private struct State {
        var day: UInt32 = 0
        var blobs: [BlobID: StoredBlob] = [:]
        var topics: [Topic: BlobID] = [:]
    }

    private let state = Mutex(State())
    private let today: @Sendable () -> UInt32

    init(today: @escaping @Sendable () -> UInt32 = { UTCDay.today }) {
        self.today = today
    }

    /// Makes a blob findable.
    ///
    /// - Returns: false where it was before.
    @discardableResult
    func add(_ blob: StoredBlob) -> Bool {
        state.withLock { state in
            guard state.blobs.updateValue(blob, forKey: blob.id) == nil else { return false }
            Self.index(blob, around: state.day, in: &state.topics)
            return true
        }
    }

    /// Makes a blob unfindable.
    func remove(_ id: BlobID) {
        state.withLock { state in
            state.blobs[id] = nil
            state.topics = state.topics.filter { $0.value != id }
        }
    }

    /// All blobs that can be found here.
    func all() -> [StoredBlob] { state.withLock { Array($0.blobs.values) } }

    /// Whether a blob can be found here.
    func contains(_ id: BlobID) -> Bool { state.withLock { $0.blobs[id] != nil } }

    /// The blob that a topic stands for; nil where it is none of ours.
    func blob(for topic: Topic) -> StoredBlob? {
        let today = today()
        return state.withLock { state in
            if state.day != today {
                state.day = today
                state.topics = [:]
                for blob in state.blobs.values {
                    Self.index(blob, around: today, in: &state.topics)
                }
            }
            return state.topics[topic].flatMap { state.blobs[$0] }
        }
    }

    private static func index(
        _ blob: StoredBlob, around day: UInt32, in topics: inout [Topic: BlobID]
    ) {
        for near in [day &- 1, day, day &+ 1] {
            topics[KeyDerivation.topic(blob.relayKey, of: blob.id, day: near)] = blob.id
        }
    }
}
