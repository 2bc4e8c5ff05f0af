internal import PetalsCore
internal import ShardFetch

// What is there, and what was promised.

extension KeepingSwarm {
    /// Notes that a node's copy of a shard is there, or anywhere, from now on or no more.
    func count(
        _ shard: DonationPlan.Shard, of node: KeepingNode, isThere: Int, isAnywhere: Int
    ) {
        let (catalogue, model, column) = (node.catalogue, shard.blob.rawValue, shard.index.rawValue)
        if isAnywhere != 0 {
            let before = copiesAnywhere[catalogue][model][column]
            copiesAnywhere[catalogue][model][column] += isAnywhere
            if (before == 0) != (before + isAnywhere == 0) {
                columnsAnywhere[catalogue][model] += isAnywhere
            }
            if !node.isPublisher, isAnywhere > 0, before == 1, publisherIsThere(catalogue) {
                shardsToPlace -= 1
                if shardsToPlace == 0 { figures.placedSeconds = queue.now }
            }
        }
        guard isThere != 0 else { return }
        let before = copiesThere[catalogue][model][column]
        copiesThere[catalogue][model][column] += isThere
        guard (before == 0) != (before + isThere == 0) else { return }
        columnSeconds += Double(columnSum) * (queue.now - columnsAt)
        columnsAt = queue.now
        columnSum += isThere
        columnsThere[catalogue][model] += isThere
        let k = scenario.geometry.dataShards
        let columns = columnsThere[catalogue][model]
        if columns < k, unreadableSince[catalogue][model] == nil {
            unreadableSince[catalogue][model] = queue.now
        } else if columns >= k, let since = unreadableSince[catalogue][model] {
            unreadableSeconds[catalogue][model] += queue.now - since
            outages[catalogue][model].append(Outage(from: since, until: queue.now))
            unreadableSince[catalogue][model] = nil
        }
    }

    private func publisherIsThere(_ catalogue: Int) -> Bool {
        queue.now < scenario.publishersLeaveAt
    }

    func beginCounting() {
        isCounting = true
        columnSeconds = 0
        columnsAt = queue.now
        for catalogue in members.indices {
            for model in 0..<scenario.models {
                unreadableSeconds[catalogue][model] = 0
                if unreadableSince[catalogue][model] != nil {
                    unreadableSince[catalogue][model] = queue.now
                }
            }
        }
        for node in nodes {
            node.uploadedBefore = lines.uploadedBytes(node.number)
            node.thereBefore = thereSeconds(node)
            node.controlSent = 0
        }
    }

    private func thereSeconds(_ node: KeepingNode) -> Instant {
        node.thereSeconds + (node.isThere ? queue.now - node.thereSince : 0)
    }

    // MARK: Promises

    /// What a plan promises at every moment.
    func check(_ node: KeepingNode) {
        let length = scenario.geometry.shardLength(ShardIndex(0))
        let bytes = (node.held.count + node.takes.count) * length
        if bytes > node.quota {
            violations.append(
                "node \(node.number) holds or takes \(bytes) bytes of a quota of \(node.quota)")
        }
        if node.plan.used != bytes {
            violations.append(
                "node \(node.number) counts \(node.plan.used) bytes and has \(bytes)")
        }
    }

    /// Compares the books with what nodes have: the slow and obvious way.
    package func checkBooks() {
        var there = copiesThere.map { $0.map { $0.map { _ in 0 } } }
        for node in nodes {
            if !node.isPublisher { check(node) }
            guard node.isThere else { continue }
            for shard in node.held {
                there[node.catalogue][shard.blob.rawValue][shard.index.rawValue] += 1
            }
        }
        if there != copiesThere { violations.append("a copy was counted twice or not at all") }
        for (parcel, part) in parts {
            let take = nodes[part.node].takes[part.shard]
            if nodes[part.node].session == part.session, take?.open.contains(parcel) != true {
                violations.append("a part is on its way that nobody waits for")
            }
        }
        let sent = nodes.reduce(0) { $0 + lines.uploadedBytes($1.number) }
        let came = nodes.reduce(0) { $0 + lines.downloadedBytes($1.number) }
        if came > sent { violations.append("more bytes came than were sent") }
    }

    // MARK: Figures

    func finish() {
        let now = queue.now
        let seconds = max(now - scenario.countsFrom, 1)
        let models = Double(scenario.catalogues * scenario.models)
        var worst = 0.0
        var sum = 0.0
        for catalogue in members.indices {
            for model in 0..<scenario.models {
                var gone = unreadableSeconds[catalogue][model]
                if let since = unreadableSince[catalogue][model] {
                    gone += now - since
                    outages[catalogue][model].append(Outage(from: since, until: .infinity))
                }
                worst = max(worst, gone)
                sum += gone
            }
        }
        figures.nodes = scenario.nodes
        figures.shards = scenario.shards
        figures.redundancy = scenario.redundancy
        figures.hours = seconds / 3600
        figures.readable = 1 - sum / (seconds * models)
        figures.readableLeast = 1 - worst / seconds
        let all = outages.flatMap { $0 }
        let span = scenario.countsFrom...max(now, scenario.countsFrom)
        figures.readsInTime = Outage.servedReads(all, in: span, patience: Self.readTimeout)
        figures.readsInMinute = Outage.servedReads(all, in: span, patience: 60)
        figures.outageLongest =
            all.joined()
            .map { min($0.until, span.upperBound) - max($0.from, span.lowerBound) }.max() ?? 0
        columnSeconds += Double(columnSum) * (now - columnsAt)
        figures.redundancyThere =
            columnSeconds / seconds / models / Double(scenario.geometry.dataShards)
        figures.lost = columnsAnywhere.reduce(0) { sum, columns in
            sum + columns.count { $0 < scenario.geometry.dataShards }
        }
        let copies = copiesAnywhere.flatMap { $0.flatMap { $0 } }
        figures.missing = copies.count { $0 == 0 }
        figures.several = copies.count { $0 > 1 }
        let donors = nodes.filter { !$0.isPublisher }
        func could(_ nodes: [KeepingNode]) -> Double {
            nodes.reduce(0.0) {
                $0 + (thereSeconds($1) - $1.thereBefore) * lines.upload($1.number)
            }
        }
        let bytes = repairBytes.reduce(0, +)
        figures.repairShare = Double(bytes) / max(could(donors), 1)
        let slow = donors.filter { $0.kind == 0 }
        figures.repairShareSlowest = Double(repairBytes[0]) / max(could(slow), 1)
        figures.repairBytesPerNodeHour =
            Double(bytes) / Double(scenario.nodes) / figures.hours
        figures.controlPerNodeHour =
            Double(donors.reduce(0) { $0 + $1.controlSent }) / Double(scenario.nodes)
            / figures.hours
        let here = donors.filter { members[$0.catalogue].contains($0.number) }
        figures.quotaUsed =
            Double(here.reduce(0) { $0 + $1.plan.used })
            / Double(max(1, here.reduce(0) { $0 + $1.quota }))
        figures.events = queue.scheduledCount
    }
}
