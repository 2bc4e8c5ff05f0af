internal import Foundation

extension ControlMessage {
    /// Reads what a peer keeps.
    static func pledges(_ message: PBPledges) throws(PetalsError) -> ControlMessage {
        guard message.pledges.count <= Limits.topicsPerPeerMax else {
            throw PetalsError(
                .limitExceeded, "a peer tells of \(message.pledges.count) topics at once")
        }
        var pledges: [Pledge] = []
        for pledge in message.pledges { pledges.append(try Pledge(message: pledge)) }
        return .pledges(pledges, room: message.hasRoom ? Int(clamping: message.room) : nil)
    }
}

extension ControlMessage.Pledge {
    init(message: PBPledge) throws(PetalsError) {
        let count = message.kept.count + message.dropped.count
        guard count <= Limits.pledgedShardsMax else {
            throw PetalsError(.limitExceeded, "a peer pledges \(count) shards at once")
        }
        self.init(
            topic: try Topic(field: message.topic),
            kept: message.kept.map { ShardIndex(Int($0)) },
            dropped: message.dropped.map { ShardIndex(Int($0)) })
    }

    var message: PBPledge {
        var message = PBPledge()
        message.topic = Data(topic.bytes)
        message.kept = kept.map { UInt32(clamping: $0.rawValue) }
        message.dropped = dropped.map { UInt32(clamping: $0.rawValue) }
        return message
    }
}
