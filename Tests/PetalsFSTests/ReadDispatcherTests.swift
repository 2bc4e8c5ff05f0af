internal import PetalsCore
internal import Synchronization
internal import Testing

@testable internal import PetalsFS

/// Goal: every read is answered exactly once, by all its bytes or an error.
///
/// Method: a content and a libfuse that the test drives by hand; ranges are enumerated around every
/// edge and compared with a byte array.
@Suite struct ReadDispatcherTests {
    let recorder = ReplyRecorder()

    private func dispatcher(_ log: LogRecorder = LogRecorder()) -> ReadDispatcher {
        ReadDispatcher(readTimeout: .seconds(600), logger: log.logger)
    }

    private func start(
        _ dispatcher: ReadDispatcher, _ content: FakeContent, offset: Int = 0, count: Int = 4,
        arm: (UInt) -> Void = { _ in }
    ) -> UInt {
        let reply = recorder.reply()
        let request = reply.request
        dispatcher.read(
            content, title: "m/f", offset: offset, count: count, reply: reply, arm: arm)
        return request
    }

    @Test func presentBytesAreAnsweredOnTheSpotUpToTheEnd() {
        let edges = [0, 1, 2, 4095, 4096, 4097, 9999, 10_000, 10_001, 20_000]
        let content = FakeContent(size: 10_000)
        let whole = (0..<10_000).map(patternByte)
        let dispatcher = dispatcher()
        for offset in edges {
            for count in edges {
                let request = start(dispatcher, content, offset: offset, count: count)
                let expected = Array(whole.dropFirst(offset).prefix(count))
                #expect(recorder.answers(request) == [.bytes(expected)], "\(offset)+\(count)")
            }
        }
        #expect(dispatcher.pendingCount == 0 && recorder.owed == 0)
    }

    @Test(arguments: [(-1, 4), (0, -1), (Int.min, 1)])
    func nonsenseIsRefused(offset: Int, count: Int) {
        let request = start(dispatcher(), FakeContent(size: 10), offset: offset, count: count)
        #expect(recorder.answers(request) == [.error(.invalid)])
    }

    @Test(arguments: [(Int.max, 1), (Int.max, Int.max), (10, Int.max), (1, 0)])
    func beyondTheEndIsEmpty(offset: Int, count: Int) {
        let request = start(dispatcher(), FakeContent(size: 10), offset: offset, count: count)
        #expect(recorder.answers(request) == [.bytes([])])
    }

    @Test func aHugeCountFromInsideGivesTheRest() {
        let request = start(dispatcher(), FakeContent(size: 10), offset: 3, count: Int.max)
        #expect(recorder.answers(request) == [.bytes((3..<10).map(patternByte))])
    }

    @Test func aReadLargerThanThePoolsBuffersIsWhole() {
        let count = Limits.kernelReadBytesMax + 1
        let bytes = [UInt8](repeating: 7, count: count)
        let reply = recorder.reply()
        let request = reply.request
        dispatcher().read(
            MemoryContent(bytes: bytes), title: "m", offset: 0, count: count, reply: reply
        ) { _ in }
        #expect(recorder.answers(request) == [.bytes(bytes)])
    }

    @Test func absentBytesAreAnsweredWhenTheyArrive() async {
        let content = FakeContent(size: 10, mode: .waiting)
        let dispatcher = dispatcher()
        let requests = (0..<5).map { start(dispatcher, content, offset: $0, count: 20) }
        #expect(dispatcher.pendingCount == 5)
        #expect(requests.allSatisfy { recorder.answers($0).isEmpty })
        content.arrive()
        for (offset, request) in requests.enumerated() {
            #expect(await recorder.answer(request) == .bytes((offset..<10).map(patternByte)))
        }
        #expect(dispatcher.pendingCount == 0)
    }

    @Test func aShortAnswerOfTheContentIsAnError() async {
        let content = FakeContent(size: 10, mode: .short)
        let request = start(dispatcher(), content)
        content.arrive()
        #expect(await recorder.answer(request) == .error(.inputOutput))
    }

    @Test func anInterruptAnswersAtOnceAndOnlyOnce() async {
        let content = FakeContent(size: 10, mode: .waiting)
        let dispatcher = dispatcher()
        var id: UInt = 0
        let request = start(dispatcher, content) { id = $0 }
        _ = await content.started.pass()
        dispatcher.interrupt(id)
        #expect(recorder.answers(request) == [.error(.interrupted)])
        dispatcher.interrupt(id)
        content.arrive()
        #expect(dispatcher.pendingCount == 0)
        #expect(recorder.answers(request) == [.error(.interrupted)])
    }

    @Test func anInterruptBeforeTheReadWaitsDoesNotAnswerInsideTheCallback() {
        let dispatcher = dispatcher()
        let content = FakeContent(size: 10, mode: .waiting)
        let request = start(dispatcher, content) { id in
            dispatcher.interrupt(id)
            #expect(recorder.state.withLock { $0.answers.isEmpty })
        }
        #expect(recorder.answers(request) == [.error(.interrupted)])
        #expect(dispatcher.pendingCount == 0)
    }

    @Test func anUnknownInterruptDoesNothing() {
        dispatcher().interrupt(12345)
    }

    @Test func interruptsAndArrivalsRaceToExactlyOneAnswer() async {
        let dispatcher = dispatcher()
        for _ in 0..<200 {
            let content = FakeContent(size: 10, mode: .waiting)
            var id: UInt = 0
            let request = start(dispatcher, content) { id = $0 }
            let number = id
            await withTaskGroup { group in
                group.addTask { content.arrive() }
                group.addTask { dispatcher.interrupt(number) }
            }
            let answer = await recorder.answer(request)
            #expect(
                answer == .error(.interrupted) || answer == .bytes((0..<4).map(patternByte)))
            #expect(recorder.answers(request).count == 1)
        }
    }

    @Test func aReadExpiresAfterItsDeadlineWithOneLine() {
        let log = LogRecorder()
        let dispatcher = dispatcher(log)
        let request = start(dispatcher, FakeContent(size: 10, mode: .waiting))
        dispatcher.expire(now: .now + .seconds(590))
        #expect(recorder.answers(request).isEmpty)
        dispatcher.expire(now: .now + .seconds(603))
        #expect(recorder.answers(request) == [.error(.inputOutput)])
        dispatcher.expire(now: .now + .seconds(610))
        #expect(log.lines.withLock { $0.count { $0.contains("warning: m/f") } } == 1)
    }

    @Test func closingAnswersWhatWaitsAndWhatComesLater() {
        let dispatcher = dispatcher()
        let waiting = start(dispatcher, FakeContent(size: 10, mode: .waiting))
        dispatcher.close()
        #expect(recorder.answers(waiting) == [.error(.inputOutput)])
        let later = start(dispatcher, FakeContent(size: 10, mode: .waiting))
        #expect(recorder.answers(later) == [.error(.inputOutput)])
        #expect(dispatcher.pendingCount == 0)
    }

    @Test(arguments: PetalsError.Code.allCases)
    func errorsBecomeTheirNumberWithOneLine(code: PetalsError.Code) {
        let log = LogRecorder()
        let content = FakeContent(size: 10, mode: .failing(PetalsError(code, "no luck")))
        let request = start(dispatcher(log), content)
        #expect(recorder.answers(request) == [.error(code.errno)])
        #expect(log.lines.withLock { $0.count } == 1)
        #expect(code.errno != .none)
    }

    @Test func waitingErrorsAreInputOutputAndCancellingIsInterrupted() {
        for code in [PetalsError.Code.timedOut, .unavailable, .corrupt] {
            #expect(code.errno == .inputOutput)
        }
        #expect(PetalsError.Code.cancelled.errno == .interrupted)
    }
}

/// Goal: a reply is answered exactly once, whatever happens to it.
@Suite struct FuseReplyTests {
    @Test func aDroppedReplyAnswersInputOutput() {
        let recorder = ReplyRecorder()
        do {
            let reply = recorder.reply()
            _ = consume reply
        }
        #expect(recorder.answers(1) == [.error(.inputOutput)])
        #expect(recorder.owed == 0)
    }

    @Test func anAnsweredReplyStaysAnsweredOnce() {
        let recorder = ReplyRecorder()
        let one = recorder.reply()
        let first = one.request
        one.answer(error: .readOnly)
        let two = recorder.reply()
        let second = two.request
        two.answer(by: { _ in 0 })
        #expect(recorder.answers(first) == [.error(.readOnly)])
        #expect(recorder.answers(second).isEmpty)
        #expect(recorder.owed == 0)
    }
}
