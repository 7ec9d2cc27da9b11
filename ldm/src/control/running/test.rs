//! A system and its manager, from bytes on a channel to commands and back.

use crate::control::record::ControlV1;
use crate::control::testing::World;
use crate::manager::domain::Device;
use crate::manager::live::STOP_TIME;
use crate::service::ds::ANSWER_TIME;
use sun4v::ds::service::{CpuAnswer, CpuRequest, PlainAnswer, VariableRequest, VariableResult};
use sun4v::ds::{CpuOp, CpuRecord, CpuResult, CpuStat, Message, Service, Stream};
use sun4v::hvctl::GuestState;
use sun4v::native::{Event, Program, Reply};
use sun4v::record::decode;
use sun4v::time::SimTime;

/// The guest's end of its channel.
fn end(world: &World, device: &Device) -> u16 {
    let bytes = world.program.save().unwrap();
    let record: ControlV1 = decode(&mut bytes.as_slice()).unwrap();
    let given = record.manager.model.domains[1].given.clone().unwrap();
    given.links.iter().find(|link| link.device == *device).unwrap().guest.0
}

/// `rover` runs and listens at both ends.
fn lab() -> (World, usize, usize) {
    let mut world = World::new();
    world.out(&[
        "ldm add-vds primary-vds0 primary",
        "ldm add-vdsdev /net/nas/export/rover0.img rover0@primary-vds0",
        "ldm add-vcc port-range=5000-5100 primary-vcc0 primary",
        "ldm add-domain rover",
        "ldm add-vcpu 2 rover",
        "ldm add-memory 512M rover",
        "ldm bind rover",
        "ldm start rover",
    ]);
    let (system, firmware) = (end(&world, &Device::Services), end(&world, &Device::Firmware));
    let system = world.listens(1, system);
    let firmware = world.listens(1, firmware);
    world.board.domains[0].lines.clear();
    (world, system, firmware)
}

fn read(bytes: &[u8]) -> Message {
    let mut stream = Stream::default();
    stream.push(bytes);
    let (kind, payload) = stream.take().unwrap().unwrap();
    Message::parse(kind, &payload).unwrap()
}

/// Says something, and gives what is said to that.
fn say(world: &mut World, far: usize, message: &Message) -> Vec<Message> {
    world.ask(far, &message.to_bytes()).iter().map(|bytes| read(bytes)).collect()
}

fn register(world: &mut World, far: usize, services: &[Service]) {
    assert_eq!(say(world, far, &Message::InitReq(1, 0)), [Message::InitAck(0)]);
    for &service in services {
        let handle = u64::from(service.code());
        let name = service.name().to_owned();
        let ask = Message::RegReq { handle, version: (1, 0), name };
        assert_eq!(say(world, far, &ask), [Message::RegAck { handle, minor: 0 }]);
    }
}

/// Data that a service has got.
fn got(world: &mut World, far: usize, service: Service) -> Vec<u8> {
    let messages: Vec<_> = world.far[far].got.drain(..).map(|bytes| read(&bytes)).collect();
    match &messages[..] {
        [Message::Data(handle, payload)] if *handle == u64::from(service.code()) => payload.clone(),
        other => panic!("{other:?}"),
    }
}

fn number(payload: &[u8]) -> u64 {
    u64::from_be_bytes(*payload.first_chunk().unwrap())
}

/// Answers what a service was asked.
fn done(world: &mut World, far: usize, service: Service) {
    let number = number(&got(world, far, service));
    let answer = PlainAnswer { number, result: 0, reason: String::new() };
    say_data(world, far, service, answer.to_bytes());
}

fn say_data(world: &mut World, far: usize, service: Service, payload: Vec<u8>) {
    let message = Message::Data(service.code().into(), payload);
    let bytes = world.ask(far, &message.to_bytes());
    world.far[far].got.extend(bytes);
}

/// Lets time pass, with the timers that end in it.
fn later(world: &mut World, span: SimTime) {
    let until = world.board.now.plus(span);
    loop {
        let timers = &mut world.board.domains[0].timers;
        timers.sort();
        let Some((at, token)) = timers.first().copied().filter(|(at, _)| *at <= until) else {
            break;
        };
        timers.remove(0);
        world.board.now = world.board.now.max(at);
        world.event(Event::Timer(token));
        world.run();
    }
    world.board.now = until;
}

fn set(world: &mut World, far: usize, name: &str, value: &str) -> VariableResult {
    let request = VariableRequest::Set { name: name.into(), value: value.into() };
    say_data(world, far, Service::VarConfig, request.to_bytes());
    let answer = got(world, far, Service::VarConfig);
    assert_eq!(answer[..4], [0, 0, 0, 2]);
    VariableResult::from_code(u32::from(answer[7])).unwrap()
}

#[test]
fn a_system_gets_virtual_cpus_and_a_disk_and_shuts_down() {
    let (mut world, system, _) = lab();
    register(&mut world, system, &Service::ALL);
    let id = world.types("ldm add-vcpu 2 rover");
    done(&mut world, system, Service::MdUpdate);
    let request = CpuRequest::parse(&got(&mut world, system, Service::DrCpu)).unwrap();
    assert_eq!((request.op, &request.cpus[..]), (CpuOp::Configure, &[2, 3][..]));
    assert_eq!(world.answer(id), None);
    let record = |&cpu: &u32| CpuRecord {
        cpu,
        result: CpuResult::Ok,
        stat: CpuStat::Configured,
        reason: String::new(),
    };
    let records = request.cpus.iter().map(record).collect();
    let answer = CpuAnswer { number: request.number, ok: true, records };
    say_data(&mut world, system, Service::DrCpu, answer.to_bytes());
    assert_eq!(world.answer(id), Some(Reply::default()));
    assert!(world.out(&["ldm list -p rover"]).contains("|ncpu=4|"));

    world.out(&["ldm add-vdisk vdisk0 rover0@primary-vds0 rover"]);
    done(&mut world, system, Service::MdUpdate);
    let disk = end(&world, &Device::Disk("vdisk0".into()));
    let disk = world.opens(1, disk);
    assert_eq!(world.far[disk].ups, 1, "its server is there");

    let id = world.types("ldm stop rover");
    done(&mut world, system, Service::Shutdown);
    assert_eq!(world.answer(id), None);
    world.hv.becomes(1, GuestState::Stopped);
    world.run();
    assert_eq!(world.answer(id).map(|own| own.stdout), Some("LDom rover stopped\n".to_owned()));
    assert_eq!(world.board.domains[0].lines, [""; 0]);
}

#[test]
fn who_says_nothing_keeps_nobody_for_ever() {
    let (mut world, system, _) = lab();
    register(&mut world, system, &[Service::MdUpdate, Service::DrCpu, Service::Shutdown]);
    let id = world.types("ldm rm-vcpu 1 rover");
    later(&mut world, SimTime(ANSWER_TIME.0 - 1));
    assert_eq!(world.answer(id), None);
    later(&mut world, SimTime(1));
    let reply = world.answer(id).unwrap();
    let said = "No virtual CPU could be removed from LDom rover\nit has not answered for 60 s\n";
    assert_eq!((reply.status, reply.stderr.as_str()), (1, said));
    world.far[system].got.clear();
    let id = world.types("ldm stop rover");
    done(&mut world, system, Service::Shutdown);
    later(&mut world, SimTime(STOP_TIME.0 - 1));
    assert_eq!(world.answer(id), None);
    later(&mut world, SimTime(1));
    assert_eq!(world.answer(id).map(|own| own.status), Some(1));
    // It resets while it is asked.
    let id = world.types("ldm rm-vcpu 1 rover");
    let domain = 2;
    world.far[system].channel.reset(&mut world.board.ports(domain));
    world.run();
    let said = "No virtual CPU could be removed from LDom rover\nits channel went down\n";
    assert_eq!(world.answer(id).map(|own| own.stderr), Some(said.to_owned()));
    let said = world.command("ldm rm-vcpu 1 rover").stderr;
    assert!(said.starts_with("LDom rover does not support dynamic reconfiguration"), "{said}");
    world.program.save().unwrap();
}

#[test]
fn a_control_domain_that_is_reset_knows_its_domains() {
    let (mut world, system, _) = lab();
    register(&mut world, system, &[Service::DrCpu]);
    let lists = ["ldm list -l", "ldm list-bindings -p", "ldm list-constraints"];
    let before = world.out(&lists);
    world.event(Event::Start);
    world.run();
    assert_eq!(world.out(&lists), before);
    assert_eq!((world.far[system].ups, world.far[system].downs), (2, 1));
    world.board.domains[0].lines.clear();
    // What was under way is lost, and that is said.
    register(&mut world, system, &[Service::MdUpdate, Service::DrCpu]);
    let id = world.types("ldm add-vcpu 1 rover");
    world.event(Event::Start);
    world.run();
    let reply = world.answer(id).unwrap();
    let said = "The logical domain manager was restarted\n";
    assert_eq!((reply.status, reply.stderr.as_str()), (1, said));
    assert!(world.out(&["ldm list -p rover"]).contains("|state=active|"));
    assert_eq!(world.board.domains[0].lines, [""; 0]);
}

#[test]
fn variables_outlive_sessions() {
    let (mut world, system, firmware) = lab();
    register(&mut world, system, &[Service::MdUpdate, Service::VarConfig]);
    register(&mut world, firmware, &[Service::VarConfig]);
    assert_eq!(set(&mut world, system, "boot-file", "-s"), VariableResult::Ok);
    assert_eq!(set(&mut world, firmware, "auto-boot?", "false"), VariableResult::Ok);
    assert_eq!(set(&mut world, firmware, "a b", "x"), VariableResult::BadName);
    assert_eq!(world.far[system].got, Vec::<Vec<u8>>::new(), "it is not told what it knows");
    let list = ["ldm list-variable rover"];
    assert_eq!(world.out(&list), "auto-boot?=false\nboot-file=-s\n");
    // The manager begins again: both ends see a reset, and register once more.
    for life in 1..3 {
        world.restart();
        world.run();
        for far in [system, firmware] {
            let own = &world.far[far];
            assert_eq!((own.ups, own.downs), (life + 1, life));
        }
        assert_eq!(world.out(&list), "auto-boot?=false\nboot-file=-s\n");
        register(&mut world, system, &[Service::VarConfig]);
        register(&mut world, firmware, &[Service::VarConfig]);
    }
    assert_eq!(set(&mut world, system, "boot-file", ""), VariableResult::Ok);
    assert_eq!(world.out(&list), "auto-boot?=false\nboot-file=\n");
    // Not while it moves or is gone.
    world.out(&["ldm stop -f rover", "ldm unbind rover"]);
    assert_eq!(world.far[system].downs, 3);
    assert_eq!(world.out(&list), "auto-boot?=false\nboot-file=\n");
}
