internal import PetalsCore
internal import PetalsStore
internal import ShardFetch

extension NodeService {
    /// Has the running node send at another limit.
    func limitUploads(rate: String, times: String?) throws(PetalsError) -> ControlResult {
        let schedule = try UploadSchedule(limit: rate, times: times)
        guard let node else {
            throw PetalsError(
                .unavailable,
                "no node runs on \(folder.path); give --upload-limit to `petalsfs serve` or "
                    + "`petalsfs mount`")
        }
        node.setUploads(schedule)
        return .done
    }
}
