import PetalsCore
import Testing

@testable import ShardFetch

extension SchedulerSwarm {
    /// What a peer was asked now fits its window, or was all that it has to do.
    func checkWindows(_ asked: Set<Peer>) {
        for peer in asked {
            guard let model = scheduler.peers[peer] else { continue }
            #expect(model.outstandingRequests <= Limits.requestsPerPeerMax / 2)
            #expect(model.outstandingBytes <= max(Limits.cellBytes, 2 * model.windowBytes))
        }
    }

    /// The scheduler's books against the swarm's own.
    func checkInvariants() {
        var bytes: [Peer: Int] = [:]
        var counts: [Peer: Int] = [:]
        var bulk = 0
        var live: [CellKey: LeafSet] = [:]
        for (id, request) in scheduler.requests {
            let size = request.leaves.count * Limits.leafBytes
            bytes[request.peer, default: 0] += size
            counts[request.peer, default: 0] += 1
            if request.bulk { bulk += size }
            #expect(peers[request.peer] != nil, "a request to a peer that is gone")
            #expect(asked[id]?.leaves == request.leaves, "request \(id) is not what is under way")
            guard !request.late else { continue }
            let before = live[request.key] ?? .none
            #expect(
                before.intersection(request.leaves).isEmpty,
                "\(request.key.address): a leaf was asked of two peers at a time")
            live[request.key] = before.union(request.leaves)
        }
        #expect(scheduler.bulkBytes == bulk)
        for (peer, model) in scheduler.peers {
            #expect(model.outstandingBytes == bytes[peer] ?? 0)
            #expect(model.outstandingRequests == counts[peer] ?? 0)
        }
        for (request, found) in asked {
            #expect(
                scheduler.requests[request] != nil,
                "\(found.key.address) is under way and not in the books")
        }
        checkJobs(live)
    }

    /// No job is forgotten: each is under way, in a queue, or waits for something that is.
    private func checkJobs(_ live: [CellKey: LeafSet]) {
        let helped = Set(scheduler.jobs.values.flatMap(\.dependents))
        for (key, job) in scheduler.jobs {
            #expect(!job.missing.isEmpty, "\(key.address) is a job without work")
            #expect(
                job.missing.intersection(here[key] ?? .none).isEmpty,
                "\(key.address) is fetched although it is here")
            let open = job.missing.subtracting(job.rebuilding).subtracting(live[key] ?? .none)
            #expect(
                open.isEmpty || job.queued || scheduler.stuck.contains(key)
                    || helped.contains(key), "\(key.address) was forgotten")
        }
        for (key, leaves) in wanted {
            #expect(
                scheduler.jobs[key]?.missing.isSuperset(of: leaves) == true,
                "\(key.address) is waited for and not fetched")
        }
    }

    /// At the end of everything, nothing is left in the books.
    func checkEmpty() {
        #expect(wanted.isEmpty)
        #expect(scheduler.isIdle)
        #expect(scheduler.stuck.isEmpty)
        #expect(scheduler.requests.isEmpty)
        #expect(scheduler.layerRequests.isEmpty)
        #expect(scheduler.bulkBytes == 0)
        for model in scheduler.peers.values {
            #expect(model.outstandingBytes == 0 && model.outstandingRequests == 0)
        }
    }

    /// The slow and obvious answer to whether a cell can be had at all at the moment.
    func canBeHad(_ key: CellKey) -> Bool {
        func isHeld(_ other: CellKey) -> Bool {
            here[other] == all(other)
                || peers.values.contains {
                    $0.manner == .honest
                        && $0.holds[other.address.shard]?.contains(other.address.cell) == true
                }
        }
        if isHeld(key) { return true }
        let row = geometry.row(of: key.address)
        let group = geometry.group(of: key.address.shard)
        let columns = (0..<geometry.groupShards).filter { column in
            isHeld(CellKey(blob: blob, address: geometry.address(row: row, column: column)))
        }
        let somebodyHasTheTree =
            layers.contains(ShardKey(blob: blob, shard: key.address.shard))
            || peers.values.contains { peer in
                peer.manner == .honest
                    && peer.holds.contains {
                        geometry.group(of: $0.key) == group && !$0.value.isEmpty
                    }
            }
        return columns.count >= geometry.dataShards && somebodyHasTheTree
    }
}

extension SchedulerSwarm {
    /// What the books say of a cell and of the rest of its row, for a failing test.
    func describe(_ key: CellKey) -> String {
        let row = geometry.row(of: key.address)
        let columns = (0..<geometry.groupShards).map { column -> String in
            let other = CellKey(blob: blob, address: geometry.address(row: row, column: column))
            let job = scheduler.jobs[other]
            let holders = peers.filter {
                $0.value.holds[other.address.shard]?.contains(other.address.cell) == true
            }.map { "\($0.key) \($0.value.manner)" }
            let requests = (job?.requests ?? []).compactMap { scheduler.requests[$0] }
            return """
                column \(column): here \(here[other] ?? .none), holders \(holders), job \
                \(job.map { "\($0.missing), queued \($0.queued)" } ?? "none"), stuck \
                \(scheduler.stuck.contains(other)), requests \
                \(requests.map { ($0.peer, $0.late) }), avoided \(scheduler.avoided[other] ?? [:])
                """
        }
        let shard = ShardKey(blob: blob, shard: key.address.shard)
        let layer = scheduler.layers[shard].map { "\($0)" } ?? "none"
        let models = scheduler.peers.map { "\($0.key): \($0.value)" }
        return (["\(key.address) at \(now), layer \(layer)"] + columns + models)
            .joined(separator: "\n")
    }
}
