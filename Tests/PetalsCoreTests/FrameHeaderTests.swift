import PetalsCore
import Testing

/// The fixed headers of frames: every header that could arrive says what it says, or nothing.
@Suite struct FrameHeaderTests {
    @Test func everyDataHeaderIsJudged() {
        for first in 0..<20 {
            for count in 0..<20 {
                for proof in [0, 1, 4, 15, 16, 17, 255] {
                    let bytes: [UInt8] = [
                        1, 2, 3, 4, UInt8(first), UInt8(count), UInt8(proof), 0,
                    ]
                    let body = 8 + 32 * proof + Limits.leafBytes * count
                    let good = first < 16 && count >= 1 && first + count <= 16 && proof <= 16
                    let header = DataHeader(bytes, bodyBytes: body)
                    guard (header != nil) == good, header.map({ $0.bytes == bytes }) ?? true,
                        DataHeader(bytes, bodyBytes: body - 1) == nil,
                        DataHeader(bytes, bodyBytes: body + 1) == nil
                    else {
                        Issue.record(
                            "\(bytes) with \(body) bytes reads as \(String(describing: header))")
                        continue
                    }
                    if let header {
                        #expect(header.request == 0x0102_0304)
                        #expect(header.leaves == first..<first + count)
                        #expect(header.proofCount == proof)
                        #expect(body <= FrameKind.data.bodyBytesMax)
                    }
                }
            }
        }
    }

    @Test func headersOfAnotherLengthAreRefused() {
        for count in 0..<20 {
            let bytes = [UInt8](repeating: 0, count: count)
            for body in [Int.min, -1, 0, 8, 12, 13, Int.max] {
                if count != 8 {
                    #expect(DataHeader(bytes, bodyBytes: body) == nil)
                    #expect(CellLayerHeader(bytes, bodyBytes: body) == nil)
                }
                if count != 12 { #expect(DocumentHeader(bytes, bodyBytes: body) == nil) }
            }
        }
        #expect(DataHeader([0, 0, 0, 0, 0, 1, 0, 1], bodyBytes: 8 + Limits.leafBytes) == nil)
    }

    @Test func cellLayersHaveTheirLength() {
        for count in [0, 1, 2, 761, 762, 763, 1000] {
            let header = CellLayerHeader(request: 9, cellCount: count)
            let read = CellLayerHeader(header.bytes, bodyBytes: 8 + 32 * count)
            #expect(read == (count <= Limits.rowsPerGroupMax ? header : nil))
            #expect(CellLayerHeader(header.bytes, bodyBytes: 9 + 32 * count) == nil)
        }
        #expect(CellLayerHeader([UInt8](repeating: 0xFF, count: 8), bodyBytes: 8) == nil)
    }

    @Test(
        arguments: [
            (1, 0, 1, true), (100, 0, 100, true), (100, 99, 1, true), (100, 100, 1, false),
            (100, 99, 2, false), (100, 0, 101, false), (100, 0, 0, false), (0, 0, 1, false),
            (Limits.manifestBytesMax, 0, 1, true), (Limits.manifestBytesMax + 1, 0, 1, false),
            (Int(UInt32.max), Int(UInt32.max) - 1, 1, false), (10, Int(UInt32.max), 5, false),
        ])
    func documentChunksLieInTheirDocument(total: Int, offset: Int, chunk: Int, good: Bool) {
        let header = DocumentHeader(request: 5, total: total, offset: offset)
        let read = DocumentHeader(header.bytes, bodyBytes: 12 + chunk)
        #expect(read == (good ? header : nil))
    }

    @Test func everyKindFitsAFrame() {
        for kind in FrameKind.allCases {
            #expect(kind.bodyBytesMax < Limits.wireFrameBytesMax)
        }
        #expect(FrameKind.allCases.map(\.rawValue) == [0, 1, 2, 3])
    }
}
