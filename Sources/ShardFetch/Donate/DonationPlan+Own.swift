package import PetalsCore

/// What this node has, and may have.
extension DonationPlan {
    /// Gives more or less disk; what is too much is dropped at the next `advance`.
    package mutating func setQuota(_ bytes: Int, now: Instant) {
        guard bytes != quota else { return }
        quota = max(0, bytes)
        decideSoon(now)
    }

    /// Says how many bytes a second this node's line carries.
    package mutating func setLineRate(_ bytesPerSecond: Double) {
        lineRate = max(1, bytesPerSecond)
    }

    /// Makes a blob known of which shards may be held.
    ///
    /// - Parameters:
    ///   - held: shards that are held because of this plan.
    ///   - partly: shards of which a part is here, because getting them was interrupted; they count
    ///     as held, and are to be got on with.
    ///   - kept: shards that are held for another reason: they count for the group and are never
    ///     dropped.
    package mutating func add(
        _ blob: Blob, id: BlobID, geometry: BlobGeometry, held: [ShardIndex] = [],
        partly: [ShardIndex] = [], kept: [ShardIndex] = [], now: Instant
    ) {
        guard places[blob] == nil else { return }
        let first = groups.count
        for group in 0..<geometry.groupCount {
            groups.append(Group(blob, id, geometry, group, now: now))
        }
        places[blob] = first..<groups.count
        dirty.formUnion(first..<groups.count)
        for shard in held { note(Shard(blob, shard), now: now) { $0.held |= $1 } }
        for shard in partly { note(Shard(blob, shard), now: now) { $0.coming |= $1 } }
        for shard in kept { note(Shard(blob, shard), now: now) { $0.kept |= $1 } }
        for index in first..<groups.count {
            guard let group = groups[index] else { continue }
            used += group.length * (group.held | group.coming).nonzeroBitCount
            takesUnderWay += group.coming.nonzeroBitCount
        }
        decideSoon(now)
    }

    /// Forgets a blob: the model is not donated to any more, and its shards are not counted.
    package mutating func remove(_ blob: Blob, now: Instant) {
        guard let range = places.removeValue(forKey: blob) else { return }
        for index in range {
            guard let group = groups[index] else { continue }
            used -= group.length * (group.held | group.coming).nonzeroBitCount
            takesUnderWay -= group.coming.nonzeroBitCount
            groups[index] = nil
            dirty.remove(index)
            for peer in group.views.keys { peers[peer]?.groups.removeAll { $0 == index } }
        }
        decideSoon(now)
    }

    /// Says which shards of a blob are held for another reason now.
    package mutating func keep(_ shards: [ShardIndex], of blob: Blob, now: Instant) {
        guard let range = places[blob] else { return }
        for index in range { groups[index]?.kept = 0 }
        for shard in shards {
            let shard = Shard(blob, shard)
            guard let (index, bit) = place(shard), let group = groups[index] else { continue }
            if (group.held | group.coming) & bit != 0 {
                used -= group.length
                if group.coming & bit != 0 { takesUnderWay -= 1 }
            }
            note(shard, now: now) { group, bit in
                group.kept |= bit
                group.held &= ~bit
                group.coming &= ~bit
            }
        }
        dirty.formUnion(range)
        decideSoon(now)
    }

    /// A shard is here, whole.
    package mutating func took(_ shard: Shard, _ way: Way, now: Instant) {
        guard let (index, bit) = place(shard), let group = groups[index],
            group.coming & bit != 0
        else { return }
        takesUnderWay -= 1
        if way == .rebuild { shardsRebuilt += 1 }
        note(shard, now: now) { group, bit in
            group.coming &= ~bit
            group.held |= bit
            group.failures[bit.trailingZeroBitCount] = nil
            group.heldSince[bit.trailingZeroBitCount] = now
        }
        decideSoon(now)
    }

    /// A shard could not be got; it is tried again later, by this donor or another.
    package mutating func failed(_ shard: Shard, now: Instant) {
        guard let (index, bit) = place(shard), let group = groups[index],
            group.coming & bit != 0
        else { return }
        takesUnderWay -= 1
        used -= group.length
        note(shard, now: now) { group, bit in
            group.coming &= ~bit
            let column = bit.trailingZeroBitCount
            let count = (group.failures[column]?.count ?? 0) + 1
            // Half a minute, doubling to an hour.
            group.failures[column] = (count, now + 30 * Double(1 << min(count - 1, 7)))
        }
        decideSoon(now)
    }

    /// A part of a shard that was held is damaged or gone: the shell gets it again.
    ///
    /// - Returns: false where the shard is not held, or is being got.
    package mutating func resumes(_ shard: Shard, now: Instant) -> Bool {
        guard let (index, bit) = place(shard), let group = groups[index], group.held & bit != 0
        else { return false }
        takesUnderWay += 1
        note(shard, now: now) { group, bit in
            group.held &= ~bit
            group.coming |= bit
        }
        return true
    }

    /// The shards that are held because of this plan, and here as far as it knows.
    package var held: [Shard] {
        groups.flatMap { group -> [Shard] in
            guard let group else { return [] }
            return group.shards(of: group.held).map { Shard(group.blob, $0) }
        }
    }

    /// Peers asked for bytes of a shard because somebody reads them.
    package mutating func demanded(_ bytes: Int, of shard: Shard, now: Instant) {
        guard let (index, _) = place(shard), let group = groups[index] else { return }
        // One reading of a whole shard of the group is 1.
        let copies = Double(max(0, bytes)) / Double(max(1, group.length))
        groups[index]?.addDemand(copies, now: now, halfLife: rules.demandSeconds)
        dirty.insert(index)
    }

    /// Shards of a blob that this node keeps or is getting in order to keep them: what peers are to
    /// be told.
    package func pledges(of blob: Blob) -> [ShardIndex] {
        guard let range = places[blob] else { return [] }
        return range.flatMap { index -> [ShardIndex] in
            guard let group = groups[index] else { return [] }
            return group.shards(of: group.mine)
        }
    }
}
