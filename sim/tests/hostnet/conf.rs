//! What is said of a network that is written wrongly.

use sim::hostnet::conf::Conf;

#[test]
fn what_is_wrong_is_said() {
    let wrong: Vec<String> = [
        "",
        "bridge",
        "none,mtu=9000",
        "tap=",
        "tap=a/b",
        "tap=sixteen-bytes-xx",
        "user,",
        "user,speed=9",
        "user,mtu=100",
        "user,mtu=9000,mtu=1500",
        "user,net=10.0.2.0",
        "user,net=10.0.2.0/28",
        "user,net=127.0.0.0/8",
        "user,net=10.0.2.1/24",
        "user,dns=here",
        "user,hostfwd=tcp:22",
        "user,hostfwd=sctp::1-:1",
        "user,hostfwd=tcp::0-:22",
        "user,hostfwd=tcp::22-10.0.3.1:22",
        "user,hostfwd=tcp::22-10.0.2.2:22",
        "user,hostfwd=tcp:localhost:22-:22",
        "user,hostfwd=tcp::22-:22,hostfwd=tcp::22-:23",
    ]
    .into_iter()
    .map(|text| format!("{text:?}: {}", Conf::parse(text).unwrap_err()))
    .collect();
    insta::assert_snapshot!(wrong.join("\n"));
}
