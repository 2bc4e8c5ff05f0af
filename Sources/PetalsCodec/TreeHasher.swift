internal import COpenSSL
internal import PetalsCore
internal import Synchronization

#if canImport(CIPSecMB)
    internal import CIPSecMB
#endif

/// SHA-256 for hash trees, with states that are made once and used again.
///
/// Leaves are independent of each other, and AVX-512 hashes sixteen of them in the time that SHA
/// instructions take for seven: where the processor has it, seven leaves and more go through
/// intel-ipsec-mb's lanes, and all else goes through OpenSSL, one after the other
/// (docs/decisions/19-lanes.md).
///
/// One thread at a time uses a hasher; `lend` sees to that.
@safe final class TreeHasher {
    /// Fewer leaves than these are done sooner one by one: 11 µs each against 80 for any number up
    /// to sixteen, measured on a Xeon of the fifth generation.
    static let lanesMin = 8

    /// How many leaves of each column of a row to hash together: as fill the lanes best, and not
    /// more than a core's own cache holds beside their copies.
    static func leavesAtOnce(columns: Int) -> Int {
        func waste(_ width: Int) -> Double {
            let leaves = columns * width
            return Double(roundUp(leaves, to: HashLanes.count) - leaves) / Double(leaves)
        }
        let widest = max(1, 3 * HashLanes.count / columns)
        return (1...widest).min { waste($0) < waste($1) } ?? 1
    }

    /// OpenSSL's state; hashing starts it anew each time.
    // SAFETY: made in `init`, freed in `deinit`, and never handed out.
    private let state: OpaquePointer?
    /// Half a megabyte, made when there are leaves for them.
    private lazy var lanes = usesLanes ? HashLanes() : nil
    private let usesLanes: Bool

    /// Makes a hasher.
    ///
    /// - Parameter usesLanes: false hashes one by one, whatever the processor has.
    init(usesLanes: Bool = true) {
        self.usesLanes = usesLanes
        // SAFETY: freed in `deinit`.
        unsafe state = EVP_MD_CTX_new()
    }

    deinit {
        // SAFETY: made in `init`; nobody else has it. Null is allowed.
        unsafe EVP_MD_CTX_free(state)
    }

    /// The hash of a leaf: SHA-256 behind a zero byte.
    func leafHash(_ bytes: RawSpan) -> Digest {
        // SAFETY: the pointer is used within the closure only, and only read.
        unsafe bytes.withUnsafeBytes { unsafe hash(prefix: 0, $0) }
    }

    /// The hash of a node over its two children: SHA-256 behind a one byte.
    func nodeHash(_ left: Digest, _ right: Digest) -> Digest {
        // SAFETY: the buffer has 32 + 32 bytes, all of which are written before they are hashed.
        unsafe withUnsafeTemporaryAllocation(byteCount: 64, alignment: 8) { buffer in
            unsafe left.write(to: UnsafeMutableRawBufferPointer(rebasing: buffer[..<32]))
            unsafe right.write(to: UnsafeMutableRawBufferPointer(rebasing: buffer[32...]))
            return unsafe hash(prefix: 1, UnsafeRawBufferPointer(buffer))
        }
    }

    /// The hashes of whole leaves, in order.
    ///
    /// - Parameters:
    ///   - count: how many there are.
    ///   - leaf: where the leaf of an index lies: `Limits.leafBytes` bytes that stay as they are
    ///     until this returns.
    @unsafe func leafHashes(count: Int, leaf: (Int) -> UnsafeRawPointer) -> [Digest] {
        var hashes: [Digest] = []
        hashes.reserveCapacity(count)
        while hashes.count < count {
            let first = hashes.count
            let batch = min(count - first, HashLanes.count)
            // SAFETY: the caller's closure says where a leaf lies, and that it stays there.
            if batch >= Self.lanesMin, let lanes,
                unsafe lanes.hash(first..<first + batch, leaf: leaf, into: &hashes)
            {
                continue
            }
            for index in first..<first + batch {
                // SAFETY: as above.
                let bytes = unsafe UnsafeRawBufferPointer(
                    start: leaf(index), count: Limits.leafBytes)
                // SAFETY: as above.
                hashes.append(unsafe hash(prefix: 0, bytes))
            }
        }
        return hashes
    }

    @unsafe private func hash(prefix: UInt8, _ bytes: UnsafeRawBufferPointer) -> Digest {
        // SAFETY: the state is this object's; OpenSSL reads what the buffer and the byte have, and
        // writes 32 bytes.
        unsafe withUnsafeTemporaryAllocation(byteCount: Digest.byteCount, alignment: 8) { out in
            var prefix = prefix
            let done =
                unsafe EVP_DigestInit_ex2(state, Self.algorithm, nil) == 1
                && EVP_DigestUpdate(state, &prefix, 1) == 1
                && EVP_DigestUpdate(state, bytes.baseAddress, bytes.count) == 1
                && EVP_DigestFinal_ex(
                    state, out.baseAddress?.assumingMemoryBound(to: UInt8.self), nil) == 1
            guard done, let digest = unsafe Digest(UnsafeRawBufferPointer(out).bytes) else {
                // It fails only where there is no memory left.
                preconditionFailure("OpenSSL did not hash")
            }
            return digest
        }
    }

    /// OpenSSL's SHA-256, looked up once.
    // SAFETY: written once, before the first use, and never changed.
    private nonisolated(unsafe) static let algorithm: OpaquePointer? = {
        let found = unsafe EVP_MD_fetch(nil, "SHA256", nil)
        // It is in OpenSSL's own provider. Where an administrator has shut that off, nothing can
        // be verified: there is nothing to fall back to.
        unsafe precondition(found != nil, "OpenSSL does not provide SHA-256 here; see openssl.cnf")
        return unsafe found
    }()
}

// MARK: Lending

extension TreeHasher {
    /// Hashers that nobody uses: as many as threads ever hashed at the same time.
    ///
    /// Numbers, so that they may cross threads; whoever takes one out owns it.
    private static let idle = Mutex<[UInt]>([])

    /// Lends a hasher for the time of `body`.
    static func lend<Result>(_ body: (TreeHasher) -> Result) -> Result {
        let kept = idle.withLock { $0.popLast() }
        // SAFETY: an idle number is an object that was retained for it below, once, and it is taken
        // out of the list by one caller.
        let hasher =
            if let kept, let pointer = unsafe UnsafeRawPointer(bitPattern: kept) {
                unsafe Unmanaged<TreeHasher>.fromOpaque(pointer).takeRetainedValue()
            } else {
                TreeHasher()
            }
        defer {
            let address = unsafe UInt(bitPattern: Unmanaged.passRetained(hasher).toOpaque())
            idle.withLock { $0.append(address) }
        }
        return body(hasher)
    }
}

// MARK: Lanes

#if canImport(CIPSecMB)
    /// Sixteen leaves hashed side by side.
    ///
    /// A lane wants its message in one piece, and a leaf's begins with a byte that does not lie
    /// before it, so leaves are copied: 15 % of the time that it takes to hash them.
    @safe private final class HashLanes {
        static let count = Int(PETALS_LANES)
        /// A leaf behind its byte, and the next one on a cache line of its own.
        private static let stride = Limits.leafBytes + 64
        private static let messageBytes = 1 + Limits.leafBytes

        // SAFETY: made in `init`, freed in `deinit`, and never handed out.
        private let manager: UnsafeMutablePointer<IMB_MGR>
        /// Messages, then digests.
        private let memory: UnsafeMutableRawBufferPointer

        /// Nil where the processor has no AVX-512.
        init?() {
            // SAFETY: freed in `deinit`. The first byte of each message is the prefix of a leaf,
            // zero, and nothing else is ever written there.
            guard let manager = unsafe petals_lanes_make() else { return nil }
            unsafe self.manager = manager
            unsafe memory = UnsafeMutableRawBufferPointer.allocate(
                byteCount: Self.count * (Self.stride + Digest.byteCount), alignment: 64)
            unsafe memory.initializeMemory(as: UInt8.self, repeating: 0)
        }

        deinit {
            // SAFETY: made in `init`; nobody else has them.
            unsafe free_mb_mgr(manager)
            unsafe memory.deallocate()
        }

        /// Appends the hashes of some leaves, at most `count`; false where the library refuses.
        @unsafe func hash(
            _ leaves: Range<Int>, leaf: (Int) -> UnsafeRawPointer, into hashes: inout [Digest]
        ) -> Bool {
            precondition(leaves.count <= Self.count)
            // SAFETY: each message and each digest has its own place in the memory, which has as
            // many as `count`.
            guard let messages = unsafe memory.baseAddress?.assumingMemoryBound(to: UInt8.self)
            else { return false }
            for (lane, index) in leaves.enumerated() {
                unsafe UnsafeMutableRawPointer(messages + lane * Self.stride + 1).copyMemory(
                    from: leaf(index), byteCount: Limits.leafBytes)
            }
            let digests = Self.count * Self.stride
            guard
                unsafe petals_lanes_sha256(
                    manager, messages, Self.stride, Self.messageBytes, leaves.count,
                    messages + digests)
            else { return false }
            let written = unsafe UnsafeRawBufferPointer(memory).bytes
            for lane in 0..<leaves.count {
                guard let digest = Digest(written, at: digests + lane * Digest.byteCount) else {
                    preconditionFailure("a digest has its place in the memory")
                }
                hashes.append(digest)
            }
            return true
        }
    }
#else
    /// This processor's family has no lanes.
    private struct HashLanes {
        static let count = 16

        init?() { nil }

        func hash(
            _ leaves: Range<Int>, leaf: (Int) -> UnsafeRawPointer, into hashes: inout [Digest]
        ) -> Bool { false }
    }
#endif
