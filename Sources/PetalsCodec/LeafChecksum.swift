internal import CISAL

/// CRC-32C (Castagnoli; RFC 3720, section 12.1) of a leaf: tells whether bytes that were verified
/// once are still the same.
///
/// It finds what a disk or memory does to bytes (every error burst of up to 32 bits, others with
/// all but 1 in 4 billion), at ten times the speed of SHA-256. It proves nothing against somebody
/// who chooses the bytes, so it is only compared for bytes that this process itself verified and
/// wrote to its own folder.
package struct LeafChecksum: Hashable, Sendable {
    /// The checksum as RFC 3720 gives it.
    package let rawValue: UInt32

    /// A checksum that was taken before.
    package init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    /// Takes the checksum of `bytes`.
    package init(of bytes: RawSpan) {
        // SAFETY: the function reads as many bytes as it is told and writes none; a leaf's length
        // fits an Int32, and a longer span would be cut at what fits.
        rawValue = unsafe bytes.withUnsafeBytes { bytes in
            let start = unsafe bytes.bindMemory(to: UInt8.self).baseAddress
            return unsafe ~crc32_iscsi(
                UnsafeMutablePointer(mutating: start), Int32(clamping: bytes.count), .max)
        }
    }
}
