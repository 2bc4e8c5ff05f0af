//
// CRendezvous: the C++ side. What it offers is in include/CRendezvous.h.
//
// A libtorrent session without torrents: it has a DHT node on each address that it listens on, one
// thread, and nothing else to do. `petals_dht_poll` turns the session's alerts into plain events.
// Alerts wait in libtorrent's queue, which has a limit, until they are taken out; one batch of them
// waits here. No callback of ours runs on the session's thread but the one that ends a poll's wait
// and the one that fills in an item to be stored.
//
// Exceptions: `guarded` is around everything that a C function does. An alert that cannot be turned
// into an event, because memory is short, is lost; the network loses as much at any time.
//

#include "CRendezvous.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <libtorrent/alert_types.hpp>
#include <libtorrent/bdecode.hpp>
#include <libtorrent/bencode.hpp>
#include <libtorrent/disabled_disk_io.hpp>
#include <libtorrent/entry.hpp>
#include <libtorrent/kademlia/dht_storage.hpp>
#include <libtorrent/session.hpp>
#include <libtorrent/session_params.hpp>
#include <libtorrent/session_stats.hpp>
#include <libtorrent/settings_pack.hpp>
#include <libtorrent/version.hpp>

// Package.swift spells out the macros that libtorrent 2.0's pkg-config file names, since SwiftPM
// passes none of them on. With others, or with another release, objects would have other layouts.
static_assert(LIBTORRENT_VERSION_MAJOR == 2 && LIBTORRENT_VERSION_MINOR == 0, "see Package.swift");

namespace {

/// One event, with the bytes that it points to.
struct Event {
    petals_dht_event_kind kind;
    std::int64_t number = 0;
    std::array<std::uint8_t, PETALS_DHT_TOPIC_BYTES> topic{};
    std::string bytes;
};

/// Port mappings that one node asks for in its life: one at the start, and one more each time that
/// it opens sockets, because the machine got other addresses.
///
/// Two of libtorrent's own and these are the ten that its NAT-PMP client has room for.
constexpr int mappings_max = 8;

/// Alerts that may wait; an answer that finds no room is lost, and asked for again.
constexpr int alerts_max = 1000;

// The sizes that BEP 44 sets.
constexpr std::size_t item_key_bytes = 32;
constexpr std::size_t item_signature_bytes = 64;
constexpr std::size_t item_salt_bytes_max = 64;
constexpr std::size_t item_value_bytes_max = 1000;

template <typename Endpoint>
void append(Endpoint const &endpoint, std::string &bytes) {
    auto const address = endpoint.address();
    auto const packed = address.is_v4()
        ? boost::asio::ip::make_address_v6(boost::asio::ip::v4_mapped, address.to_v4()).to_bytes()
        : address.to_v6().to_bytes();
    bytes.append(packed.begin(), packed.end());
    bytes.push_back(static_cast<char>(endpoint.port() >> 8));
    bytes.push_back(static_cast<char>(endpoint.port() & 0xff));
}

std::vector<lt::udp::endpoint> read_endpoints(std::uint8_t const *bytes, std::size_t count) {
    std::vector<lt::udp::endpoint> endpoints;
    for (std::size_t at = 0; at + PETALS_DHT_ENDPOINT_BYTES <= count;
         at += PETALS_DHT_ENDPOINT_BYTES) {
        boost::asio::ip::address_v6::bytes_type packed;
        std::copy_n(bytes + at, packed.size(), packed.begin());
        boost::asio::ip::address_v6 const address(packed);
        auto const port = static_cast<std::uint16_t>(bytes[at + 16] << 8 | bytes[at + 17]);
        if (address.is_v4_mapped()) {
            endpoints.emplace_back(
                boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, address), port);
        } else {
            endpoints.emplace_back(address, port);
        }
    }
    return endpoints;
}

/// What others announced to this node, in libtorrent's own storage behind a lock.
///
/// libtorrent's lookups ask other nodes and not this one. Where there are few nodes, what is wanted
/// may have been announced right here.
class Announcements {
public:
    using Storage = lt::dht::dht_storage_interface;

    /// Makes libtorrent's own storage; called on the session's thread.
    void open(lt::settings_interface const &settings) {
        std::lock_guard<std::mutex> const lock(mutex);
        storage = lt::dht::dht_default_storage_constructor(settings);
    }

    template <typename Body>
    auto use(Body const &body) {
        std::lock_guard<std::mutex> const lock(mutex);
        return body(*storage);
    }

    /// Peers of a topic, as packed endpoints.
    std::string peers(lt::sha1_hash const &topic) {
        std::lock_guard<std::mutex> const lock(mutex);
        std::string bytes;
        // There is none until the session's thread has started.
        if (!storage) return bytes;
        add_peers(topic, lt::address_v4::any(), bytes);
        add_peers(topic, lt::address_v6::any(), bytes);
        return bytes;
    }

private:
    void add_peers(lt::sha1_hash const &topic, lt::address const &family, std::string &bytes) {
        lt::entry found;
        storage->get_peers(topic, false, false, family, found);
        auto const *values = found.find_key("values");
        if (values == nullptr || values->type() != lt::entry::list_t) return;
        for (auto const &value : values->list()) {
            auto const &packed = value.string();
            if (packed.size() == 6) {
                bytes.append(10, '\0').append(2, '\xff').append(packed);
            } else if (packed.size() == PETALS_DHT_ENDPOINT_BYTES) {
                bytes.append(packed);
            }
        }
    }

    std::mutex mutex;
    std::unique_ptr<Storage> storage;
};

/// What libtorrent sees of `Announcements`: each call under the lock, and nothing else.
class SharedStorage final : public lt::dht::dht_storage_interface {
public:
    explicit SharedStorage(std::shared_ptr<Announcements> kept) : kept(std::move(kept)) {}

#if TORRENT_ABI_VERSION == 1
    std::size_t num_torrents() const override {
        return kept->use([](auto &storage) { return storage.num_torrents(); });
    }
    std::size_t num_peers() const override {
        return kept->use([](auto &storage) { return storage.num_peers(); });
    }
#endif
    void update_node_ids(std::vector<lt::dht::node_id> const &ids) override {
        kept->use([&](auto &storage) { storage.update_node_ids(ids); });
    }
    bool get_peers(
        lt::sha1_hash const &topic, bool noseed, bool scrape, lt::address const &requester,
        lt::entry &peers) const override {
        return kept->use([&](auto &storage) {
            return storage.get_peers(topic, noseed, scrape, requester, peers);
        });
    }
    void announce_peer(
        lt::sha1_hash const &topic, lt::tcp::endpoint const &peer, lt::string_view name,
        bool seed) override {
        kept->use([&](auto &storage) { storage.announce_peer(topic, peer, name, seed); });
    }
    bool get_immutable_item(lt::sha1_hash const &target, lt::entry &item) const override {
        return kept->use([&](auto &storage) { return storage.get_immutable_item(target, item); });
    }
    void put_immutable_item(
        lt::sha1_hash const &target, lt::span<char const> value,
        lt::address const &from) override {
        kept->use([&](auto &storage) { storage.put_immutable_item(target, value, from); });
    }
    bool get_mutable_item_seq(
        lt::sha1_hash const &target, lt::dht::sequence_number &sequence) const override {
        return kept->use(
            [&](auto &storage) { return storage.get_mutable_item_seq(target, sequence); });
    }
    bool get_mutable_item(
        lt::sha1_hash const &target, lt::dht::sequence_number sequence, bool fill,
        lt::entry &item) const override {
        return kept->use([&](auto &storage) {
            return storage.get_mutable_item(target, sequence, fill, item);
        });
    }
    void put_mutable_item(
        lt::sha1_hash const &target, lt::span<char const> value,
        lt::dht::signature const &signature, lt::dht::sequence_number sequence,
        lt::dht::public_key const &key, lt::span<char const> salt,
        lt::address const &from) override {
        kept->use([&](auto &storage) {
            storage.put_mutable_item(target, value, signature, sequence, key, salt, from);
        });
    }
    int get_infohashes_sample(lt::entry &item) override {
        return kept->use([&](auto &storage) { return storage.get_infohashes_sample(item); });
    }
    void tick() override {
        kept->use([](auto &storage) { storage.tick(); });
    }
    lt::dht::dht_storage_counters counters() const override {
        return kept->use([](auto &storage) { return storage.counters(); });
    }

private:
    std::shared_ptr<Announcements> const kept;
};

/// What the session may do: to be a DHT node, and no more.
lt::settings_pack settings(petals_dht_config const &config) {
    using pack = lt::settings_pack;
    bool const is_private = config.is_private != 0;
    pack settings;
    settings.set_str(pack::listen_interfaces, config.listen);
    settings.set_int(
        pack::alert_mask,
        static_cast<int>(static_cast<std::uint32_t>(
            lt::alert_category::dht_operation | lt::alert_category::status
            | lt::alert_category::error | lt::alert_category::port_mapping)));
    settings.set_int(pack::alert_queue_size, alerts_max);

    // No BitTorrent. libtorrent 2.0 cannot listen for UDP without listening for TCP on the same
    // port; who connects there is disconnected at once.
    settings.set_bool(pack::enable_incoming_tcp, false);
    settings.set_bool(pack::enable_incoming_utp, false);
    settings.set_bool(pack::enable_outgoing_tcp, false);
    settings.set_bool(pack::enable_outgoing_utp, false);
    settings.set_bool(pack::enable_lsd, false);
    settings.set_int(pack::connections_limit, 2);
    settings.set_int(pack::stop_tracker_timeout, 1);
    settings.set_str(pack::user_agent, "");

    // A port that is taken: another one is as good for a DHT node, and the event says which.
    settings.set_int(pack::max_retry_port_bind, 0);
    settings.set_bool(pack::listen_system_port_fallback, true);

    settings.set_bool(pack::enable_upnp, config.maps_ports != 0);
    settings.set_bool(pack::enable_natpmp, config.maps_ports != 0);

    // A DHT that begins before the sockets are open asks nobody, and forgets whom it would have
    // asked; so it is off at first.
    settings.set_bool(pack::enable_dht, false);
    // Names are resolved by our caller: a resolver that hangs here would hang the session's end.
    settings.set_str(pack::dht_bootstrap_nodes, "");
    // One node for each network in the routing table, and in a lookup, so that one operator with
    // many node ids is not many. On a private network all nodes may be on one machine.
    settings.set_bool(pack::dht_restrict_routing_ips, !is_private);
    settings.set_bool(pack::dht_restrict_search_ips, !is_private);
    settings.set_bool(pack::dht_prefer_verified_node_ids, !is_private);
    // Many nodes of the public network have ids that do not follow from their address (BEP 42); to
    // leave them out is to be left out.
    settings.set_bool(pack::dht_enforce_node_id, false);
    // The list of networks where nobody should be is older than the clouds that are there now.
    settings.set_bool(pack::dht_ignore_dark_internet, false);
    // Who sends more than 5 messages a second is not answered for five minutes. In a network of
    // three each node gets all messages of another.
    settings.set_int(pack::dht_block_ratelimit, is_private ? 1000 : 5);
    // Bytes a second of answers to others.
    settings.set_int(pack::dht_upload_rate_limit, is_private ? 1'000'000 : 8000);
    // What is kept for others: at most 1000 topics of 200 peers of 40 bytes, 8 MB, and 700 items of
    // a kilobyte.
    settings.set_int(pack::dht_max_torrents, 1000);
    settings.set_int(pack::dht_max_peers, 200);
    settings.set_int(pack::dht_max_dht_items, 700);
    return settings;
}

}  // namespace

/// The handle: a session, the events of one batch, and what ends a poll's wait.
struct petals_dht {
    explicit petals_dht(petals_dht_config const &config) : maps_ports(config.maps_ports != 0) {
        lt::session_params params;
        if (config.state_bytes > 0) {
            params = read_state(reinterpret_cast<char const *>(config.state), config.state_bytes);
        }
        auto const nodes = read_endpoints(config.nodes, config.nodes_bytes);
        params.dht_state.nodes.insert(params.dht_state.nodes.end(), nodes.begin(), nodes.end());
        params.settings = settings(config);
        params.extensions.clear();
        params.disk_io_constructor = lt::disabled_disk_io_constructor;
        params.dht_storage_constructor = [kept = announcements](
                                             lt::settings_interface const &settings) {
            kept->open(settings);
            return std::make_unique<SharedStorage>(kept);
        };
        session = std::make_unique<lt::session>(std::move(params));
        session->set_alert_notify([this] { wake(); });
        // This reaches the session's thread when it has opened the sockets.
        lt::settings_pack start;
        start.set_bool(lt::settings_pack::enable_dht, true);
        session->apply_settings(std::move(start));
    }

    petals_dht(petals_dht const &) = delete;
    petals_dht &operator=(petals_dht const &) = delete;

    ~petals_dht() {
        // From here on nothing calls `wake` on a handle that is going away.
        session->set_alert_notify([] {});
    }

    /// A routing table from a file of our own; an empty one where the file is damaged.
    static lt::session_params read_state(char const *bytes, std::size_t count) {
        try {
            lt::span<char const> const buffer(bytes, static_cast<std::ptrdiff_t>(count));
            return lt::read_session_params(buffer, lt::session::save_dht_state);
        } catch (std::exception const &) {
            return {};
        }
    }

    void wake() {
        std::lock_guard<std::mutex> const lock(mutex);
        is_woken = true;
        condition.notify_all();
    }

    bool poll(std::chrono::milliseconds timeout, petals_dht_event &event) {
        if (events.empty()) take_alerts();
        if (events.empty()) {
            {
                std::unique_lock<std::mutex> lock(mutex);
                condition.wait_for(lock, timeout, [this] { return is_woken; });
                is_woken = false;
            }
            take_alerts();
        }
        if (events.empty()) return false;
        shown = std::move(events.front());
        events.pop_front();
        event.kind = shown.kind;
        event.number = shown.number;
        std::copy(shown.topic.begin(), shown.topic.end(), event.topic);
        event.bytes = reinterpret_cast<std::uint8_t const *>(shown.bytes.data());
        event.bytes_count = shown.bytes.size();
        return true;
    }

    void map_port(std::uint16_t port) {
        if (!maps_ports || mappings_asked >= mappings_max) return;
        ++mappings_asked;
        for (auto const mapping : session->add_port_mapping(lt::session::tcp, port, port)) {
            // A negative one comes from a mapper that found no router.
            if (static_cast<int>(mapping) >= 0 && !is_ours(mapping)) mappings.push_back(mapping);
        }
    }

    /// What others announced here counts as one more answer to a lookup of ours.
    void answer_ourselves(lt::sha1_hash const &topic) {
        auto bytes = announcements->peers(topic);
        if (!bytes.empty()) add_peers(topic, std::move(bytes));
    }

    std::shared_ptr<Announcements> const announcements = std::make_shared<Announcements>();
    std::unique_ptr<lt::session> session;

private:
    void take_alerts() {
        std::vector<lt::alert *> alerts;
        session->pop_alerts(&alerts);
        for (auto const *alert : alerts) add(*alert);
    }

    void add(lt::alert const &alert);
    void add(lt::dht_mutable_item_alert const &alert);

    void add(petals_dht_event_kind kind, std::int64_t number, std::string bytes) {
        Event event;
        event.kind = kind;
        event.number = number;
        event.bytes = std::move(bytes);
        events.push_back(std::move(event));
    }

    void add_peers(lt::sha1_hash const &topic, std::string bytes) {
        Event event;
        event.kind = PETALS_DHT_PEERS;
        std::copy(topic.begin(), topic.end(), event.topic.begin());
        event.bytes = std::move(bytes);
        if (events.size() < alerts_max) events.push_back(std::move(event));
    }

    bool is_ours(lt::port_mapping_t mapping) const {
        return std::find(mappings.begin(), mappings.end(), mapping) != mappings.end();
    }

    bool const maps_ports;
    int mappings_asked = 0;
    /// Handles of our own mappings, which libtorrent has besides those of its own sockets.
    std::vector<lt::port_mapping_t> mappings;
    int const nodes_metric = lt::find_metric_idx("dht.dht_nodes");
    std::deque<Event> events;
    /// The event that the caller looks at.
    Event shown{};

    std::mutex mutex;
    std::condition_variable condition;
    bool is_woken = false;
};

void petals_dht::add(lt::alert const &alert) {
    if (auto const *reply = lt::alert_cast<lt::dht_get_peers_reply_alert>(&alert)) {
        auto peers = reply->peers();
        if (peers.size() > PETALS_DHT_PEERS_MAX) peers.resize(PETALS_DHT_PEERS_MAX);
        std::string bytes;
        for (auto const &peer : peers) append(peer, bytes);
        add_peers(reply->info_hash, std::move(bytes));
    } else if (auto const *stats = lt::alert_cast<lt::session_stats_alert>(&alert)) {
        auto const counters = stats->counters();
        bool const has_count = nodes_metric >= 0 && nodes_metric < counters.size();
        add(PETALS_DHT_NODES, has_count ? counters[nodes_metric] : 0, {});
    } else if (auto const *open = lt::alert_cast<lt::listen_succeeded_alert>(&alert)) {
        // UDP sockets go under the name of the protocol that BitTorrent has on them.
        if (open->socket_type != lt::socket_type_t::utp) return;
        lt::address const address = open->address;
        std::string bytes;
        append(lt::udp::endpoint(address, static_cast<std::uint16_t>(open->port)), bytes);
        add(PETALS_DHT_LISTENING, 0, std::move(bytes));
    } else if (auto const *failed = lt::alert_cast<lt::listen_failed_alert>(&alert)) {
        add(PETALS_DHT_LISTEN_FAILED, 0, failed->error.message());
    } else if (auto const *mapped = lt::alert_cast<lt::portmap_alert>(&alert)) {
        if (mapped->map_protocol != lt::portmap_protocol::tcp || !is_ours(mapped->mapping)) return;
        add(PETALS_DHT_PORT_MAPPED, mapped->external_port, {});
    } else if (auto const *unmapped = lt::alert_cast<lt::portmap_error_alert>(&alert)) {
        if (is_ours(unmapped->mapping)) {
            add(PETALS_DHT_PORT_FAILED, 0, unmapped->error.message());
        }
    } else if (auto const *external = lt::alert_cast<lt::external_ip_alert>(&alert)) {
        lt::address const address = external->external_address;
        std::string bytes;
        append(lt::udp::endpoint(address, 0), bytes);
        add(PETALS_DHT_EXTERNAL_ADDRESS, 0, std::move(bytes));
    } else if (auto const *item = lt::alert_cast<lt::dht_mutable_item_alert>(&alert)) {
        add(*item);
    }
}

void petals_dht::add(lt::dht_mutable_item_alert const &alert) {
    // The last word of a lookup that found nothing is an item without a value.
    if (alert.item.type() == lt::entry::undefined_t) return;
    std::string bytes(alert.key.begin(), alert.key.end());
    bytes.append(alert.signature.begin(), alert.signature.end());
    auto const sequence = static_cast<std::uint64_t>(alert.seq);
    for (int shift = 56; shift >= 0; shift -= 8) {
        bytes.push_back(static_cast<char>(sequence >> shift & 0xff));
    }
    bytes += alert.salt;
    lt::bencode(std::back_inserter(bytes), alert.item);
    add(PETALS_DHT_ITEM, static_cast<std::int64_t>(alert.salt.size()), std::move(bytes));
}

namespace {

/// Does `body` and gives its result, or `failure` where anything is thrown.
template <typename Body>
auto guarded(Body const &body, decltype(body()) failure) noexcept -> decltype(body()) {
    try {
        return body();
    } catch (...) {
        return failure;
    }
}

void copy_reason(std::string_view text, char *reason, std::size_t reason_bytes) noexcept {
    if (reason == nullptr || reason_bytes == 0) return;
    auto const count = std::min(text.size(), reason_bytes - 1);
    std::memcpy(reason, text.data(), count);
    reason[count] = '\0';
}

lt::sha1_hash read_topic(std::uint8_t const *topic) {
    return lt::sha1_hash(reinterpret_cast<char const *>(topic));
}

std::string read_text(std::uint8_t const *bytes, std::size_t count) {
    return count == 0 ? std::string() : std::string(reinterpret_cast<char const *>(bytes), count);
}

/// The release without its patch level: 2.0 of 2.0.8.
std::string_view minor_release(std::string_view version) {
    auto const dot = version.find('.', version.find('.') + 1);
    return version.substr(0, dot);
}

}  // namespace

extern "C" petals_dht *petals_dht_create(
    petals_dht_config const *config, char *reason, size_t reason_bytes) noexcept {
    try {
        if (minor_release(lt::version()) != minor_release(LIBTORRENT_VERSION)) {
            copy_reason(
                std::string("libtorrent ") + lt::version() + " is installed and petalsfs was built "
                    "with " LIBTORRENT_VERSION,
                reason, reason_bytes);
            return nullptr;
        }
        return new petals_dht(*config);
    } catch (std::exception const &error) {
        copy_reason(error.what(), reason, reason_bytes);
    } catch (...) {
        copy_reason("libtorrent does not start", reason, reason_bytes);
    }
    return nullptr;
}

extern "C" void petals_dht_destroy(petals_dht *dht) noexcept {
    guarded([&] { delete dht; return 0; }, -1);
}

extern "C" int petals_dht_add_nodes(
    petals_dht *dht, uint8_t const *bytes, size_t bytes_count) noexcept {
    return guarded(
        [&] {
            for (auto const &node : read_endpoints(bytes, bytes_count)) {
                dht->session->add_dht_node({node.address().to_string(), node.port()});
            }
            return 0;
        },
        -1);
}

extern "C" int petals_dht_announce(petals_dht *dht, uint8_t const *topic, uint16_t port) noexcept {
    // libtorrent takes port 0 for its own, where nobody answers.
    if (port == 0) return -1;
    return guarded(
        [&] {
            dht->answer_ourselves(read_topic(topic));
            dht->session->dht_announce(read_topic(topic), port);
            return 0;
        },
        -1);
}

extern "C" int petals_dht_get_peers(petals_dht *dht, uint8_t const *topic) noexcept {
    return guarded(
        [&] {
            dht->answer_ourselves(read_topic(topic));
            dht->session->dht_get_peers(read_topic(topic));
            return 0;
        },
        -1);
}

extern "C" int petals_dht_count_nodes(petals_dht *dht) noexcept {
    return guarded([&] { dht->session->post_session_stats(); return 0; }, -1);
}

extern "C" int petals_dht_map_port(petals_dht *dht, uint16_t port) noexcept {
    if (port == 0) return -1;
    return guarded([&] { dht->map_port(port); return 0; }, -1);
}

extern "C" int petals_dht_put_item(
    petals_dht *dht, uint8_t const *key, uint8_t const *signature, int64_t sequence,
    uint8_t const *salt, size_t salt_bytes, uint8_t const *value, size_t value_bytes) noexcept {
    if (salt_bytes > item_salt_bytes_max || value_bytes > item_value_bytes_max) return -1;
    return guarded(
        [&] {
            std::array<char, item_key_bytes> key_bytes;
            std::copy_n(key, key_bytes.size(), key_bytes.begin());
            std::array<char, item_signature_bytes> signature_bytes;
            std::copy_n(signature, signature_bytes.size(), signature_bytes.begin());
            auto const text = read_text(value, value_bytes);
            lt::error_code error;
            auto const decoded = lt::bdecode({text.data(), std::ptrdiff_t(text.size())}, error);
            if (error) return -1;
            lt::entry const item(decoded);
            dht->session->dht_put_item(
                key_bytes,
                [=](lt::entry &target, std::array<char, item_signature_bytes> &target_signature,
                    std::int64_t &target_sequence, std::string const &) {
                    target = item;
                    target_signature = signature_bytes;
                    target_sequence = sequence;
                },
                read_text(salt, salt_bytes));
            return 0;
        },
        -1);
}

extern "C" int petals_dht_get_item(
    petals_dht *dht, uint8_t const *key, uint8_t const *salt, size_t salt_bytes) noexcept {
    if (salt_bytes > item_salt_bytes_max) return -1;
    return guarded(
        [&] {
            std::array<char, item_key_bytes> key_bytes;
            std::copy_n(key, key_bytes.size(), key_bytes.begin());
            dht->session->dht_get_item(key_bytes, read_text(salt, salt_bytes));
            return 0;
        },
        -1);
}

extern "C" int petals_dht_poll(
    petals_dht *dht, uint32_t milliseconds, petals_dht_event *event) noexcept {
    return guarded(
        [&] { return dht->poll(std::chrono::milliseconds(milliseconds), *event) ? 1 : 0; }, -1);
}

extern "C" void petals_dht_wake(petals_dht *dht) noexcept {
    guarded([&] { dht->wake(); return 0; }, -1);
}

extern "C" int64_t petals_dht_save(petals_dht *dht, uint8_t *bytes, size_t capacity) noexcept {
    return guarded(
        [&] {
            auto const state = lt::write_session_params_buf(
                dht->session->session_state(lt::session::save_dht_state),
                lt::session::save_dht_state);
            if (state.size() <= capacity) std::copy(state.begin(), state.end(), bytes);
            return static_cast<std::int64_t>(state.size());
        },
        std::int64_t{-1});
}
